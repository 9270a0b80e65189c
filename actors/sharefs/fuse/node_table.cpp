#include "actors/sharefs/fuse/node_table.hpp"

#include <algorithm>
#include <utility>

namespace troupe::fuse {

std::size_t node_table::identity_hash::operator()(const file_identity& self) const noexcept {
  constexpr std::uint64_t spread = 0x9e3779b97f4a7c15; // 2^64 / golden ratio: neighbours part
  return ((self.inode * spread) ^ (self.device * spread >> 7)) + self.mount * spread;
}

node_table::node* node_table::find(std::uint64_t id) noexcept {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : &found->second;
}

node_table::node* node_table::find(const file_identity& self) noexcept {
  const auto found = by_identity_.find(self);
  return found == by_identity_.end() ? nullptr : *found;
}

answer<node_table::node*> node_table::enter(place where, const file_identity& self, mode_t type,
                                            sharefs::share* tree) {
  if (auto* known = find(self); known && known->type == type && known->tree == tree) {
    ++known->lookups;
    if (where.parent != 0)
      move(*known, where);
    return known;
  }
  auto* parent = where.parent == 0 ? nullptr : find(where.parent);
  if (where.parent != 0 && !parent)
    return refuse(ESTALE);
  if (nodes_.size() >= bounds_.nodes)
    return refuse(ENFILE);
  auto& fresh = nodes_[++last_id_];
  fresh.id = last_id_;
  fresh.parent = parent;
  fresh.name = where.name;
  fresh.self = self;
  fresh.tree = tree;
  fresh.type = type;
  fresh.lookups = 1;
  fresh.crosses_mount = !parent || parent->self.mount != self.mount;
  if (parent)
    ++parent->children;
  // A file whose inode number was used again stays reachable by its own number only.
  by_identity_.erase(&fresh);
  by_identity_.insert(&fresh);
  return &fresh;
}

void node_table::forget(std::uint64_t id, std::uint64_t count) {
  if (auto* which = find(id)) {
    which->lookups -= std::min(which->lookups, count);
    release_if_unused(which);
  }
}

/// Erases the node if nobody needs it, then its parent if that was kept for the child only.
void node_table::release_if_unused(node* which) {
  while (which && which->lookups == 0 && which->children == 0 && !which->crosses_mount) {
    auto* const parent = which->parent;
    erase(*which);
    if (parent)
      --parent->children;
    which = parent;
  }
}

held_ptr node_table::reach(node& which) {
  if (which.path) {
    if (!which.pinned)
      cached_.splice(cached_.end(), cached_, which.age);
    return which.path;
  }
  return which.open.lock();
}

void node_table::cache(node& which, held_ptr path) {
  if (which.path)
    return;
  which.path = std::move(path);
  which.age = cached_.insert(cached_.end(), &which);
  trim();
}

void node_table::trim() {
  while (cached_.size() > bounds_.cached_descriptors)
    uncache(*cached_.front());
}

void node_table::uncache(node& which) {
  cached_.erase(which.age);
  closing_.push_back(std::exchange(which.path, nullptr));
}

void node_table::pin(node& which, held_ptr path) {
  if (which.pinned)
    return;
  // At the limit the descriptor is cached like any other: the deleted file may become unreachable.
  if (pinned_ >= bounds_.handles)
    return cache(which, std::move(path));
  if (which.path)
    uncache(which);
  which.path = std::move(path);
  which.pinned = true;
  ++pinned_;
}

void node_table::unpin(node& which) {
  which.pinned = false;
  --pinned_;
  which.age = cached_.insert(cached_.end(), &which);
  trim();
}

void node_table::move(node& which, place where) {
  auto* const parent = find(where.parent);
  if (!parent || parent == &which)
    return;
  if (which.name != where.name)
    which.name = where.name;
  if (which.pinned)
    unpin(which);
  if (which.parent == parent)
    return;
  ++parent->children;
  auto* const before = std::exchange(which.parent, parent);
  if (before) {
    --before->children;
    release_if_unused(before);
  }
}

void node_table::reidentify(node& which, const file_identity& self) {
  const auto known = by_identity_.find(&which);
  if (known != by_identity_.end() && *known == &which)
    by_identity_.erase(known);
  which.self = self;
  by_identity_.insert(&which);
}

void node_table::erase(node& which) {
  if (which.pinned) {
    --pinned_;
    closing_.push_back(std::exchange(which.path, nullptr));
  } else if (which.path) {
    uncache(which);
  }
  const auto known = by_identity_.find(&which);
  if (known != by_identity_.end() && *known == &which)
    by_identity_.erase(known);
  nodes_.erase(which.id);
}

void node_table::drop(const sharefs::share* tree) {
  std::vector<node*> doomed;
  for (auto& [id, which] : nodes_)
    if (which.tree == tree)
      doomed.push_back(&which);
  for (auto* which : doomed)
    erase(*which);
}

void node_table::clear() {
  for (auto& [id, which] : nodes_)
    if (which.path)
      closing_.push_back(std::move(which.path));
  cached_.clear();
  by_identity_.clear();
  nodes_.clear();
  pinned_ = 0;
}

} // namespace troupe::fuse
