#include "actors/sharefs/fuse/node_table.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

using namespace troupe;
using namespace troupe::fuse;

namespace {

struct table_with_root {
  explicit table_with_root(limits bounds = {}) : nodes(bounds) {
    root = *nodes.enter({0, {}}, {1, 1, 1}, S_IFDIR, tree.get());
  }
  node_table::node* file(std::string_view name, std::uint64_t inode) {
    return *nodes.enter({root->id, name}, {1, inode, 1}, S_IFREG, tree.get());
  }
  [[nodiscard]] held_ptr descriptor() const { return std::make_shared<held_fd>(tree, unique_fd{}); }

  sharefs::share_ptr tree = std::make_shared<sharefs::share>(unique_fd{}, sharefs::share_policy{});
  node_table nodes;
  node_table::node* root = nullptr;
};

limits small(std::size_t nodes, std::size_t cached, std::size_t handles) {
  return {.nodes = nodes, .cached_descriptors = cached, .handles = handles};
}

} // namespace

TEST_CASE("node_table: two names of one file, one node at the later name") {
  table_with_root t;
  auto* const first = t.file("a", 5);
  auto* const second = t.file("b", 5);
  CHECK(first == second);
  CHECK(first->lookups == 2);
  CHECK(first->name == "b");
}

TEST_CASE("node_table: forgotten as often as told, the node goes") {
  table_with_root t;
  const auto id = t.file("a", 5)->id;
  t.file("a", 5);
  t.nodes.forget(id, 1);
  CHECK(t.nodes.find(id));
  t.nodes.forget(id, 1);
  CHECK_FALSE(t.nodes.find(id));
  CHECK_FALSE(t.nodes.find(file_identity{1, 5, 1}));
}

TEST_CASE("node_table: forgotten more often than told, the node goes and nothing else") {
  table_with_root t;
  const auto id = t.file("a", 5)->id;
  t.file("b", 6);
  t.nodes.forget(id, ~std::uint64_t{0});
  t.nodes.forget(id, 7);
  CHECK(t.nodes.size() == 2);
}

TEST_CASE("node_table: a parent forgotten before its child, stays until the child goes") {
  table_with_root t;
  auto* const folder = *t.nodes.enter({t.root->id, "d"}, {1, 8, 1}, S_IFDIR, t.tree.get());
  auto* const child = *t.nodes.enter({folder->id, "f"}, {1, 9, 1}, S_IFREG, t.tree.get());
  const auto folder_id = folder->id;
  t.nodes.forget(folder_id, 1);
  REQUIRE(t.nodes.find(folder_id));
  t.nodes.forget(child->id, 1);
  CHECK_FALSE(t.nodes.find(folder_id));
  CHECK(t.nodes.size() == 1);
}

TEST_CASE("node_table: a share's root forgotten, stays: 6.1 forgets it while it is mounted") {
  table_with_root t;
  const auto id = t.root->id;
  t.nodes.forget(id, 5);
  CHECK(t.nodes.find(id));
}

TEST_CASE("node_table: at the limit of nodes, ENFILE for a new file only") {
  table_with_root t{small(2, 10, 10)};
  t.file("a", 5);
  CHECK(t.nodes.enter({t.root->id, "b"}, {1, 6, 1}, S_IFREG, t.tree.get()).error() ==
        os_error{ENFILE});
  CHECK(t.nodes.enter({t.root->id, "a"}, {1, 5, 1}, S_IFREG, t.tree.get()));
}

TEST_CASE("node_table: more cached than allowed, the longest unused is closed") {
  table_with_root t{small(100, 2, 10)};
  auto* const a = t.file("a", 5);
  auto* const b = t.file("b", 6);
  auto* const c = t.file("c", 7);
  t.nodes.cache(*a, t.descriptor());
  t.nodes.cache(*b, t.descriptor());
  CHECK(t.nodes.reach(*a));
  t.nodes.cache(*c, t.descriptor());
  CHECK(t.nodes.cached() == 2);
  CHECK(t.nodes.reach(*a));
  CHECK_FALSE(t.nodes.reach(*b));
  CHECK(t.nodes.take_closing().size() == 1);
}

TEST_CASE("node_table: a pinned descriptor, outlives the cache until a name is found again") {
  table_with_root t{small(100, 1, 10)};
  auto* const a = t.file("a", 5);
  t.nodes.pin(*a, t.descriptor());
  t.nodes.cache(*t.file("b", 6), t.descriptor());
  t.nodes.cache(*t.file("c", 7), t.descriptor());
  CHECK(t.nodes.reach(*a));
  CHECK(t.nodes.pinned() == 1);
  t.file("other-link", 5);
  CHECK(t.nodes.pinned() == 0);
  CHECK(t.nodes.cached() == 1);
}

TEST_CASE("node_table: at the limit of handles, a deleted file's descriptor is only cached") {
  table_with_root t{small(100, 1, 1)};
  t.nodes.pin(*t.file("a", 5), t.descriptor());
  auto* const b = t.file("b", 6);
  t.nodes.pin(*b, t.descriptor());
  CHECK(t.nodes.pinned() == 1);
  t.nodes.cache(*t.file("c", 7), t.descriptor());
  CHECK_FALSE(t.nodes.reach(*b));
}

TEST_CASE("node_table: an inode number used again by another kind of file, another node") {
  table_with_root t;
  const auto file = t.file("a", 5)->id;
  const auto folder = (*t.nodes.enter({t.root->id, "a"}, {1, 5, 1}, S_IFDIR, t.tree.get()))->id;
  CHECK(file != folder);
  CHECK(t.nodes.find(file_identity{1, 5, 1})->id == folder);
  t.nodes.forget(file, 1);
  CHECK(t.nodes.find(file_identity{1, 5, 1})->id == folder);
}

TEST_CASE("node_table: moving into a directory below itself by the guest's lies, ends") {
  table_with_root t;
  auto* const a = *t.nodes.enter({t.root->id, "a"}, {1, 8, 1}, S_IFDIR, t.tree.get());
  auto* const b = *t.nodes.enter({a->id, "b"}, {1, 9, 1}, S_IFDIR, t.tree.get());
  t.nodes.move(*a, {b->id, "a"});
  t.nodes.move(*a, {a->id, "a"});
  t.nodes.forget(a->id, 1);
  t.nodes.forget(b->id, 1);
  t.nodes.drop(t.tree.get());
  CHECK(t.nodes.size() == 0);
}
