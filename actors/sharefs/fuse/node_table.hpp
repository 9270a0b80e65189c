#pragma once

#include "actors/sharefs/fuse/answer.hpp"
#include "actors/sharefs/fuse/limits.hpp"
#include "actors/sharefs/share_root.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <sys/types.h>

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace troupe::fuse {

/// An open descriptor and the share that it keeps alive. Shared: a request may still use what the
/// table has let go of.
struct held_fd {
  held_fd(sharefs::share_ptr of, unique_fd opened) noexcept
      : tree(std::move(of)), fd(std::move(opened)) {}

  sharefs::share_ptr tree;
  unique_fd fd; // closed before the share may end

  [[nodiscard]] int get() const noexcept { return fd.get(); }
};
using held_ptr = std::shared_ptr<const held_fd>;

/// What makes a file itself on this host. The mount tells apart two views of one file.
struct file_identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t mount = 0;

  friend bool operator==(const file_identity&, const file_identity&) = default;
};

/// Where a file was last seen: in the directory with node number `parent`, 0 for a share's root.
struct place {
  std::uint64_t parent = 0;
  std::string_view name;
};

/// The files that the guest knows, by the numbers that it knows them by. A file is remembered by
/// parent and name, and opened again from there when its descriptor had to be closed; so a guest
/// may know any number of files at a bounded number of descriptors. File handles
/// (open_by_handle_at) would need no names, but overlayfs, which most rootfs are, gives none by
/// default.
///
/// No system calls, no locks: the session guards it.
class node_table {
public:
  struct node {
    std::uint64_t id = 0;
    node* parent = nullptr;
    std::string name;
    file_identity self;
    sharefs::share* tree = nullptr;
    std::uint64_t lookups = 0; ///< How often the guest was told of it, less what it forgot.
    std::uint32_t children = 0;
    mode_t type = 0;            ///< S_IFMT bits.
    bool crosses_mount = false; ///< A share's root or a mount below: kept until the share goes.
    bool pinned = false;        ///< No name leads here any more: the descriptor must stay.
    held_ptr path;              ///< O_PATH descriptor, when cached or pinned.
    std::weak_ptr<const held_fd> open; ///< The latest opened file, as long as it is open.
    std::list<node*>::iterator age;    ///< Position among the cached, valid if path && !pinned.
  };

  explicit node_table(const limits& bounds) noexcept : bounds_(bounds) {}

  [[nodiscard]] node* find(std::uint64_t id) noexcept;
  [[nodiscard]] node* find(const file_identity& self) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] std::size_t cached() const noexcept { return cached_.size(); }
  [[nodiscard]] std::size_t pinned() const noexcept { return pinned_; }

  /// The node of that file, new or known, one lookup more, and now at `where`. ENFILE at the limit.
  [[nodiscard]] answer<node*> enter(place where, const file_identity& self, mode_t type,
                                    sharefs::share* tree);
  /// Takes `count` lookups back; at none the node goes, unless something below needs it.
  void forget(std::uint64_t id, std::uint64_t count);

  /// A descriptor to reach the node by without any walk, or null. Counts as use.
  [[nodiscard]] held_ptr reach(node& which);
  /// Keeps an O_PATH descriptor for later; may close the longest unused one.
  void cache(node& which, held_ptr path);
  /// Keeps the descriptor until the node goes: its name is about to disappear.
  void pin(node& which, held_ptr path);
  /// The file is at `where` now (a rename), and reachable by it again.
  void move(node& which, place where);
  /// The same open file got another identity (copy-up of an overlay).
  void reidentify(node& which, const file_identity& self);

  /// Drops every node of `tree`. The guest's numbers for them lead nowhere from now on.
  void drop(const sharefs::share* tree);
  void clear();

  /// The descriptors let go of since the last call. Whoever asks closes them, after unlocking:
  /// closing the last one of a deleted file frees its blocks, which can take long.
  [[nodiscard]] std::vector<held_ptr> take_closing() noexcept {
    return std::exchange(closing_, {});
  }

private:
  struct identity_hash {
    using is_transparent = void;
    std::size_t operator()(const file_identity& self) const noexcept;
    std::size_t operator()(const node* which) const noexcept { return (*this)(which->self); }
  };
  struct identity_equal {
    using is_transparent = void;
    static const file_identity& of(const file_identity& self) noexcept { return self; }
    static const file_identity& of(const node* which) noexcept { return which->self; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const noexcept {
      return of(a) == of(b);
    }
  };

  void uncache(node& which);
  void unpin(node& which);
  void trim();
  void release_if_unused(node* which);
  void erase(node& which);

  limits bounds_;
  std::uint64_t last_id_ = 1; // 1 is the virtual root's
  std::unordered_map<std::uint64_t, node> nodes_;
  std::unordered_set<node*, identity_hash, identity_equal> by_identity_;
  std::list<node*> cached_; // longest unused first
  std::size_t pinned_ = 0;
  std::vector<held_ptr> closing_;
};

} // namespace troupe::fuse
