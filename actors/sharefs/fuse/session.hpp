#pragma once

#include "actors/sharefs/fuse/buffers_raw.hpp"
#include "actors/sharefs/fuse/limits.hpp"
#include "actors/sharefs/fuse/node_table.hpp"
#include "actors/sharefs/share_root.hpp"
#include "messages/vocabulary/units.hpp"

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace troupe::fuse {

/// The root of what the guest sees, by the FUSE protocol.
inline constexpr std::uint64_t root_node = 1;

/// A file that a request works on: what it needs after the tables are unlocked again.
struct located {
  std::uint64_t id = 0;
  held_ptr path; ///< O_PATH or opened; good as a directory for *at calls.
  mode_t type = 0;
  std::uint64_t mount = 0;

  [[nodiscard]] int fd() const noexcept { return path->get(); }
  [[nodiscard]] const sharefs::share& tree() const noexcept { return *path->tree; }
};

/// An open file or directory of the guest.
struct open_handle {
  held_ptr file; ///< Null for a directory of the virtual root.
  std::uint64_t node = 0;
  bool directory = false;

  /// The directory cursor. One reader at a time, whatever the guest's kernel promises.
  std::mutex busy;
  std::int64_t position = 0;    ///< The offset that `ahead` continues at.
  std::vector<std::byte> ahead; ///< Entries read from the host, not yet told.
  std::vector<sharefs::share_root::named_entry>
      names; ///< Of a virtual directory, as it was opened.
};
using handle_ptr = std::shared_ptr<open_handle>;

struct node_status {
  struct statx attributes {};
  bool exclusive = false; ///< The share's policy.
};

/// What INIT agreed on.
struct agreement {
  std::uint32_t minor = 0; ///< 0 before INIT.
  std::uint64_t flags = 0;

  [[nodiscard]] bool has(std::uint64_t flag) const noexcept { return (flags & flag) != 0; }
};

/// Everything about one machine's shares that must outlive the code serving them: the share root,
/// the nodes and handles the guest holds, what INIT agreed on. The machine owns it; a restarted
/// server goes on with it as if nothing had been. Thread-safe.
class session {
public:
  explicit session(limits bounds = {});

  // --- for the owner ---

  /// Shows `tree` at `path` ("c1/rootfs"). Failures as share_root::add.
  [[nodiscard]] outcome<void> add_share(std::string_view path, unique_fd tree,
                                        sharefs::share_policy policy);
  /// Hides the share, drops its nodes and closes its descriptors, open files included: the guest
  /// gets ESTALE from now on. Returns once the last request working on it is done, so that the host
  /// can unmount the tree at once.
  /// @returns not_found; deadline_exceeded when a request is stuck in the host's file system (the
  ///          share is hidden all the same and closes when that request returns).
  [[nodiscard]] outcome<void> remove_share(std::string_view path, milliseconds patience);
  /// Forgets the guest, not the shares: the machine was reset, or the guest's driver starts over.
  void restart();

  struct counters {
    std::size_t nodes = 0;
    std::size_t cached_descriptors = 0;
    std::size_t pinned_descriptors = 0;
    std::size_t handles = 0;
  };
  [[nodiscard]] counters count() const;

  // --- for the server ---

  [[nodiscard]] agreement agreed() const;
  void agree(const agreement& with);
  [[nodiscard]] const sharefs::share_root& names() const noexcept { return names_; }

  /// Names must not move while one request follows them: ops that resolve a node hold this shared,
  /// those that rename or delete hold it alone.
  [[nodiscard]] std::shared_mutex& moving() noexcept { return moving_; }

  /// Finds a node's file again, opening what lies between when its descriptor was closed, and
  /// checks that it is the same file. ESTALE: unknown, gone, or another file by now. Hold moving().
  [[nodiscard]] answer<located> resolve(std::uint64_t node);
  /// As resolve(); EROFS when the share is read-only.
  [[nodiscard]] answer<located> resolve_for_change(std::uint64_t node);
  /// A node's attributes, without opening it where its directory is at hand. Hold moving().
  [[nodiscard]] answer<node_status> status(std::uint64_t node);

  /// The guest learns of the file `name` in `parent`. Hold moving().
  [[nodiscard]] answer<std::uint64_t> enter(const located& parent, std::string_view name,
                                            const struct statx& status);
  /// The guest learns of a share's root.
  [[nodiscard]] answer<std::uint64_t> enter(const sharefs::share_ptr& tree,
                                            const struct statx& status);
  void forget(std::uint64_t node, std::uint64_t count);

  /// The name is about to be deleted or replaced: if the guest knows the file, its descriptor
  /// stays.
  void keep_nameless(const located& parent, const std::string& name);
  /// The file is found at `name` in `parent` from now on. Hold moving() alone.
  void moved(const file_identity& which, const located& parent, std::string_view name);
  /// An operation may have changed the file's identity (copy-up of an overlay): looks again.
  void reidentify(const located& which);

  /// ENFILE at the limit. Returns the number the guest gets.
  [[nodiscard]] answer<std::uint64_t> open(handle_ptr file);
  /// ESTALE when there is none: a lie, or the share was removed.
  [[nodiscard]] answer<handle_ptr> handle(std::uint64_t number);
  void close(std::uint64_t number);

private:
  /// The lock on the tables; what they let go of is closed after it.
  class table_lock {
  public:
    explicit table_lock(session& where) : where_(where), lock_(where.tables_) {}
    ~table_lock() {
      const auto closing = where_.nodes_.take_closing();
      lock_.unlock();
    }
    table_lock(const table_lock&) = delete;
    table_lock& operator=(const table_lock&) = delete;

  private:
    session& where_;
    std::unique_lock<std::mutex> lock_;
  };

  struct step {
    std::uint64_t id = 0;
    std::string name;
    file_identity self;
    mode_t type = 0;
  };

  [[nodiscard]] answer<held_ptr> climb(std::uint64_t node, std::vector<step>& way);
  [[nodiscard]] answer<held_ptr> descend(const held_ptr& from, const step& to);
  [[nodiscard]] answer<located> located_at(std::uint64_t node, held_ptr path);

  const limits bounds_;
  sharefs::share_root names_;
  std::shared_mutex moving_;
  mutable std::mutex tables_; // guards all below; never held during a system call on a share
  agreement agreed_;
  node_table nodes_;
  std::unordered_map<std::uint64_t, handle_ptr> handles_;
  std::uint64_t last_handle_ = 0;
};

/// statx(2) of `name` in `directory`, not following a link; of `directory` itself when `name` is
/// empty.
[[nodiscard]] answer<struct statx> status_at(int directory, const char* name);
[[nodiscard]] file_identity identity_of(const struct statx& status) noexcept;
/// O_PATH descriptor of one component, never through a link.
[[nodiscard]] answer<unique_fd> open_path(int directory, const char* name);

} // namespace troupe::fuse
