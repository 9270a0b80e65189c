#include "actors/sharefs/fuse/session.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace troupe::fuse {

answer<struct statx> status_at(int directory, const char* name) {
  struct statx status {};
  if (::statx(directory, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_MNT_ID, &status) != 0)
    return refuse_errno();
  return status;
}

file_identity identity_of(const struct statx& status) noexcept {
  return {std::uint64_t{status.stx_dev_major} << 32 | status.stx_dev_minor, status.stx_ino,
          status.stx_mnt_id};
}

answer<unique_fd> open_path(int directory, const char* name) {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  unique_fd path{static_cast<int>(::syscall(SYS_openat2, directory, name, &how, sizeof how))};
  if (!path)
    return refuse_errno();
  return path;
}

session::session(limits bounds) : bounds_(bounds), nodes_(bounds_) {}

outcome<void> session::add_share(std::string_view path, unique_fd tree,
                                 sharefs::share_policy policy) {
  return names_.add(path, std::make_shared<sharefs::share>(std::move(tree), policy));
}

outcome<void> session::remove_share(std::string_view path, milliseconds patience) {
  auto tree = TRY(names_.take(path));
  auto gone = tree->gone();
  std::vector<handle_ptr> closing; // closed without the lock: close(2) may write back for long
  {
    const table_lock guard{*this};
    tree->retire();
    nodes_.drop(tree.get());
    for (auto which = handles_.begin(); which != handles_.end();) {
      const bool below = which->second->file && which->second->file->tree == tree;
      if (below)
        closing.push_back(std::move(which->second));
      which = below ? handles_.erase(which) : std::next(which);
    }
  }
  closing.clear();
  tree.reset();
  if (gone.wait_for(patience) != std::future_status::ready)
    return fail(errc::deadline_exceeded, "remove share \"{}\": still in use by a request", path);
  return {};
}

void session::restart() {
  decltype(handles_) closing;
  const table_lock guard{*this};
  closing.swap(handles_);
  nodes_.clear();
  agreed_ = {};
}

session::counters session::count() const {
  const std::scoped_lock guard{tables_};
  return {nodes_.size(), nodes_.cached(), nodes_.pinned(), handles_.size()};
}

agreement session::agreed() const {
  const std::scoped_lock guard{tables_};
  return agreed_;
}

void session::agree(const agreement& with) {
  const table_lock guard{*this};
  agreed_ = with;
}

/// Collects the way from the nearest ancestor at hand down to the node (inmost first in `way`), and
/// returns that ancestor's descriptor.
answer<held_ptr> session::climb(std::uint64_t id, std::vector<step>& way) {
  sharefs::share_ptr tree;
  {
    const table_lock guard{*this};
    const auto* const start = nodes_.find(id);
    for (auto* at = nodes_.find(id); at; at = at->parent) {
      if (auto path = nodes_.reach(*at))
        return path;
      if (way.size() == max_depth)
        return refuse(ELOOP);
      way.push_back({at->id, at->name, at->self, at->type});
    }
    if (!start)
      return refuse(ESTALE);
    tree = start->tree->weak_from_this().lock();
  }
  // Even the share's root is closed: it is opened again from the share itself.
  if (!tree)
    return refuse(ESTALE);
  unique_fd root{::fcntl(tree->root(), F_DUPFD_CLOEXEC, 0)};
  if (!root)
    return refuse_errno();
  const auto at = way.back().id;
  way.pop_back();
  auto path = std::make_shared<held_fd>(std::move(tree), std::move(root));
  const table_lock guard{*this};
  if (auto* which = nodes_.find(at))
    nodes_.cache(*which, path);
  return path;
}

answer<held_ptr> session::descend(const held_ptr& from, const step& to) {
  auto opened = open_path(from->get(), to.name.c_str());
  if (!opened)
    return refuse(opened.error() == os_error{ENOENT} ? ESTALE : static_cast<int>(opened.error()));
  const auto status = TRY(status_at(opened->get(), ""));
  if (identity_of(status) != to.self || (status.stx_mode & S_IFMT) != to.type)
    return refuse(ESTALE);
  auto path = std::make_shared<held_fd>(from->tree, std::move(*opened));
  const table_lock guard{*this};
  auto* const which = nodes_.find(to.id);
  if (!which)
    return refuse(ESTALE);
  nodes_.cache(*which, path);
  return path;
}

answer<located> session::located_at(std::uint64_t id, held_ptr path) {
  const table_lock guard{*this};
  const auto* const which = nodes_.find(id);
  if (!which)
    return refuse(ESTALE);
  return located{id, std::move(path), which->type, which->self.mount};
}

answer<located> session::resolve(std::uint64_t id) {
  std::vector<step> way;
  auto path = TRY(climb(id, way));
  std::ranges::reverse(way); // down again
  for (const auto& next : way)
    path = TRY(descend(path, next));
  return located_at(id, std::move(path));
}

answer<located> session::resolve_for_change(std::uint64_t id) {
  auto found = TRY(resolve(id));
  if (found.tree().policy().read_only)
    return refuse(EROFS);
  return found;
}

answer<node_status> session::status(std::uint64_t id) {
  std::uint64_t parent = 0;
  std::string name;
  file_identity self;
  {
    const table_lock guard{*this};
    auto* const which = nodes_.find(id);
    if (!which)
      return refuse(ESTALE);
    if (!which->path && which->open.expired() && which->parent) {
      parent = which->parent->id;
      name = which->name;
      self = which->self;
    }
  }
  if (parent == 0) {
    const auto found = TRY(resolve(id));
    return node_status{TRY(status_at(found.fd(), "")), found.tree().policy().exclusive};
  }
  const auto directory = TRY(resolve(parent));
  const auto status = status_at(directory.fd(), name.c_str());
  if (!status || identity_of(*status) != self)
    return refuse(ESTALE);
  return node_status{*status, directory.tree().policy().exclusive};
}

answer<std::uint64_t> session::enter(const located& parent, std::string_view name,
                                     const struct statx& status) {
  const table_lock guard{*this};
  auto* const known = nodes_.find(parent.id);
  if (!known)
    return refuse(ESTALE);
  const auto* const entered = TRY(nodes_.enter({parent.id, name}, identity_of(status),
                                               status.stx_mode & S_IFMT, known->tree));
  return entered->id;
}

answer<std::uint64_t> session::enter(const sharefs::share_ptr& tree,
                                     const struct statx& status) {
  const table_lock guard{*this};
  if (tree->retired())
    return refuse(ESTALE);
  const auto* const entered = TRY(
      nodes_.enter({0, {}}, identity_of(status), status.stx_mode & S_IFMT, tree.get()));
  return entered->id;
}

void session::forget(std::uint64_t id, std::uint64_t count) {
  const table_lock guard{*this};
  nodes_.forget(id, count);
}

void session::keep_nameless(const located& parent, const std::string& name) {
  auto opened = open_path(parent.fd(), name.c_str());
  if (!opened)
    return;
  const auto status = status_at(opened->get(), "");
  if (!status)
    return;
  auto path = std::make_shared<held_fd>(parent.path->tree, std::move(*opened));
  const table_lock guard{*this};
  if (auto* which = nodes_.find(identity_of(*status)))
    nodes_.pin(*which, std::move(path));
}

void session::moved(const file_identity& self, const located& parent, std::string_view name) {
  const table_lock guard{*this};
  if (auto* which = nodes_.find(self))
    nodes_.move(*which, {parent.id, name});
}

void session::reidentify(const located& file) {
  const auto status = status_at(file.fd(), "");
  if (!status)
    return;
  const table_lock guard{*this};
  auto* const which = nodes_.find(file.id);
  if (which && which->self != identity_of(*status))
    nodes_.reidentify(*which, identity_of(*status));
}

answer<std::uint64_t> session::open(handle_ptr file) {
  const table_lock guard{*this};
  if (handles_.size() + nodes_.pinned() >= bounds_.handles)
    return refuse(ENFILE);
  if (file->file) {
    auto* const which = nodes_.find(file->node);
    if (!which)
      return refuse(ESTALE);
    which->open = file->file;
  }
  handles_.emplace(++last_handle_, std::move(file));
  return last_handle_;
}

answer<handle_ptr> session::handle(std::uint64_t number) {
  const table_lock guard{*this};
  const auto found = handles_.find(number);
  if (found == handles_.end())
    return refuse(ESTALE);
  return found->second;
}

void session::close(std::uint64_t number) {
  decltype(handles_)::node_type closing; // closed without the lock
  const table_lock guard{*this};
  closing = handles_.extract(number);
}

} // namespace troupe::fuse
