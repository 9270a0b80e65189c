#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// What a guest sees of the host: a tree of names that exists only here, with one host tree under
/// each.
namespace troupe::sharefs {

/// Longest name of a file or directory (NAME_MAX of Linux). A longer one never reaches the host.
inline constexpr std::size_t max_name_length = 255;
/// Levels of names above a share: "<container>/rootfs" needs two. Stops a runaway caller.
inline constexpr std::size_t max_share_depth = 8;
/// Shares of one machine. Each pins one descriptor, and a listing of them is built in memory.
inline constexpr std::size_t max_shares = 4096;

/// Whether `name` may be one component of a path: 1 ... max_name_length bytes, no '/', no NUL,
/// neither
/// "." nor "..". Every name a guest sends passes here before the host sees it.
[[nodiscard]] bool is_component(std::string_view name) noexcept;

struct share_policy {
  /// Writes are refused with EROFS on the host side, whatever the guest mounted.
  bool read_only = false;
  /// Only this guest changes the tree (a container's rootfs), so what it cached stays true. A tree
  /// that the host changes too (a volume) is asked again after a second.
  bool exclusive = false;
};

/// One host tree. Lives as long as any descriptor below it is open, so its end means that the host
/// may unmount what was shared.
class share : public std::enable_shared_from_this<share> {
public:
  /// @param root O_PATH descriptor of a directory or regular file, best a detached mount
  ///        (clone_mount): then no path of the host stands between the guest and the tree.
  share(unique_fd root, share_policy policy) noexcept : root_(std::move(root)), policy_(policy) {}
  ~share();
  share(const share&) = delete;
  share& operator=(const share&) = delete;

  [[nodiscard]] int root() const noexcept { return root_.get(); }
  [[nodiscard]] const share_policy& policy() const noexcept { return policy_; }
  /// Out of the tree of names: nothing new of it may be remembered.
  void retire() noexcept { retired_ = true; }
  [[nodiscard]] bool retired() const noexcept { return retired_; }
  /// Ready once every descriptor of this share is closed. Call once.
  [[nodiscard]] std::future<void> gone() { return gone_.get_future(); }

private:
  unique_fd root_;
  share_policy policy_;
  std::atomic<bool> retired_ = false;
  std::promise<void> gone_;
};

using share_ptr = std::shared_ptr<share>;

/// The tree of names. Thread-safe. Directories come and go with the shares below them; their
/// numbers are never used twice, so that a guest that kept one finds nothing.
class share_root {
public:
  static constexpr std::uint64_t top = 1;

  /// Either a further directory of names or a share; one of the two is set.
  struct entry {
    std::uint64_t directory = 0;
    share_ptr tree;
  };
  struct named_entry {
    std::string name;
    entry what;
  };

  /// Puts `tree` at `path` ("c1/rootfs"), making the directories above it.
  /// @returns invalid_argument naming the component, already_exists when the path or a part of it
  /// is
  ///          a share, resource_exhausted at max_shares.
  [[nodiscard]] outcome<void> add(std::string_view path, share_ptr tree);

  /// Takes the share at `path` out, with the directories that it leaves empty.
  /// @returns not_found when there is no share of exactly that path.
  [[nodiscard]] outcome<share_ptr> take(std::string_view path);

  [[nodiscard]] bool has(std::uint64_t directory) const;
  [[nodiscard]] std::optional<entry> find(std::uint64_t directory, std::string_view name) const;
  /// In order of names; nothing when there is no such directory.
  [[nodiscard]] std::optional<std::vector<named_entry>> list(std::uint64_t directory) const;

private:
  using names = std::map<std::string, entry, std::less<>>;

  [[nodiscard]] outcome<std::uint64_t> descend(const std::vector<std::string_view>& parts);
  void prune(const std::vector<std::pair<std::uint64_t, std::string>>& way);

  mutable std::mutex guard_;
  std::unordered_map<std::uint64_t, names> directories_{{top, {}}};
  std::uint64_t last_directory_ = top;
  std::size_t shares_ = 0;
};

/// A private copy of the mount at `path` that is attached nowhere: what the guest gets is this
/// copy, so that unmounting, moving or covering the original cannot lead it elsewhere. The path's
/// last component must not be a symlink, and no component may be when `beneath` is given.
/// @param beneath directory that `path` is relative to and must not leave; -1 for an absolute path.
/// @param recursive whether mounts below come along.
/// Needs CAP_SYS_ADMIN. With policy.read_only the copy itself is read-only, too.
[[nodiscard]] outcome<unique_fd> clone_mount(int beneath, const std::string& path, bool recursive,
                                             const share_policy& policy);

} // namespace troupe::sharefs
