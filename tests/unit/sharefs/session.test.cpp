#include "tests/unit/sharefs/fixture.hpp"

#include <thread>

using namespace troupe;
using namespace troupe::testing;
using namespace std::chrono_literals;

TEST_CASE("session: many more files than descriptors, all stay usable") {
  shared_folder t{{.nodes = 1000, .cached_descriptors = 5, .handles = 10}};
  const auto before = open_descriptors();
  std::vector<std::uint64_t> nodes;
  for (int i = 0; i < 40; ++i) {
    const auto name = std::to_string(i);
    std::filesystem::create_directory(t.host / name);
    t.put(name + "/f", name);
    nodes.push_back(t.client.walk("c1/rootfs/" + name + "/f"));
  }
  for (int i = 0; i < 40; ++i) {
    const auto open = t.client.open(nodes.at(static_cast<std::size_t>(i)), O_RDONLY);
    REQUIRE(open.error == 0);
    const auto handle = open.as<fuse_open_out>().fh;
    CHECK(t.client.read(handle, 0, 10).text() == std::to_string(i));
    t.client.release(handle);
    CHECK(open_descriptors() <= before + 6);
  }
  CHECK(t.shares.count().cached_descriptors == 5);
}

TEST_CASE("session: a share removed, its nodes and open files are ESTALE and closed at once") {
  shared_folder t;
  t.put("f", "text");
  const auto before = open_descriptors();
  const auto file = t.opened("f", O_RDWR);
  const auto folder = t.client.open(t.root, 0, FUSE_OPENDIR).as<fuse_open_out>().fh;
  const auto node = t.node("f");
  REQUIRE(t.shares.remove_share("c1/rootfs", 100ms));
  // What the fixture's share itself held is closed, too.
  CHECK(open_descriptors() < before);
  CHECK(t.client.getattr(node).error == ESTALE);
  CHECK(t.client.getattr(t.root).error == ESTALE);
  CHECK(t.client.lookup(t.root, "f").error == ESTALE);
  CHECK(t.client.open(node, O_RDONLY).error == ESTALE);
  CHECK(t.client.read(file, 0, 10).error == ESTALE);
  CHECK(t.client.write(file, 0, "x").error == ESTALE);
  CHECK(t.client.read(folder, 0, 4096, FUSE_READDIR).error == ESTALE);
  CHECK(t.client.mkdir(t.root, "d").error == ESTALE);
  CHECK(t.client.lookup(fuse::root_node, "c1").error == ENOENT);
  CHECK(t.shares.count().nodes == 0);
  CHECK(t.shares.count().handles == 0);
}

TEST_CASE("session: one share removed, its neighbour goes on") {
  shared_folder t;
  t.put("f", "text");
  t.share("c2/rootfs", t.host);
  const auto second = t.client.walk("c2/rootfs");
  const auto handle = t.client.open(t.client.lookup(second, "f").as<fuse_entry_out>().nodeid, 0);
  REQUIRE(t.shares.remove_share("c1/rootfs", 100ms));
  CHECK(t.client.read(handle.as<fuse_open_out>().fh, 0, 10).text() == "text");
  CHECK(t.client.getattr(second).error == 0);
}

TEST_CASE("session: a share removed while a request holds it, deadline_exceeded, then it ends") {
  shared_folder t;
  auto busy = *t.shares.resolve(t.root);
  const auto removed = t.shares.remove_share("c1/rootfs", 5ms);
  REQUIRE_FALSE(removed);
  CHECK(removed.error().code == errc::deadline_exceeded);
  CHECK(t.client.getattr(t.root).error == ESTALE);
}

TEST_CASE("session: a removed share added again, new nodes and no old ones") {
  shared_folder t;
  t.put("f", "text");
  const auto before = t.node("f");
  REQUIRE(t.shares.remove_share("c1/rootfs", 100ms));
  t.share("c1/rootfs", t.host);
  CHECK(t.client.getattr(before).error == ESTALE);
  const auto again = t.client.walk("c1/rootfs/f");
  CHECK(again != 0);
  CHECK(again != before);
}

TEST_CASE("session: a file shared by itself, readable and listed") {
  shared_folder t;
  t.put("resolv.conf", "nameserver ::1\n");
  t.share("c1-resolv.conf", t.host / "resolv.conf");
  const auto entry = t.client.lookup(fuse::root_node, "c1-resolv.conf").as<fuse_entry_out>();
  CHECK(S_ISREG(entry.attr.mode));
  CHECK(entry.attr.flags == 0);
  const auto handle = t.client.open(entry.nodeid, O_RDONLY).as<fuse_open_out>().fh;
  CHECK(t.client.read(handle, 0, 100).text() == "nameserver ::1\n");
  CHECK(t.client.list(fuse::root_node) == std::vector<std::string>{"c1", "c1-resolv.conf"});
}

TEST_CASE("session: another serving logic over the same session, goes on with nodes and handles") {
  shared_folder t;
  t.put("f", "text");
  const auto node = t.node("f");
  const auto handle = t.opened("f", O_RDONLY);
  fuse_client restarted{t.shares};
  CHECK(restarted.read(handle, 1, 10).text() == "ext");
  CHECK(restarted.getattr(node).as<fuse_attr_out>().attr.size == 4);
}

TEST_CASE(
    "session: the guest starts over, its old nodes and handles are gone, the shares are not") {
  shared_folder t;
  t.put("f", "text");
  const auto node = t.node("f");
  const auto handle = t.opened("f", O_RDONLY);
  CHECK(t.client.init().error == 0);
  CHECK(t.client.getattr(node).error == ESTALE);
  CHECK(t.client.read(handle, 0, 1).error == ESTALE);
  CHECK(t.client.walk("c1/rootfs/f") > node);
}

TEST_CASE("session: a file the host replaced under its name, ESTALE and not the other file") {
  shared_folder t{{.nodes = 100, .cached_descriptors = 0, .handles = 10}};
  t.put("f", "old");
  t.put("g", "new");
  const auto node = t.node("f");
  std::filesystem::rename(t.host / "g", t.host / "f");
  CHECK(t.client.open(node, O_RDONLY).error == ESTALE);
  CHECK(t.client.getattr(node).error == ESTALE);
  CHECK(t.node("f") != node);
}

TEST_CASE("session: a directory renamed by the guest, what is below is found by its new path") {
  shared_folder t{{.nodes = 100, .cached_descriptors = 0, .handles = 10}};
  std::filesystem::create_directories(t.host / "a" / "b");
  t.put("a/b/f", "text");
  const auto file = t.client.walk("c1/rootfs/a/b/f");
  REQUIRE(t.client.rename(t.root, "a", t.root, "z").error == 0);
  CHECK(t.client.getattr(file).as<fuse_attr_out>().attr.size == 4);
  CHECK(t.client.open(file, O_RDONLY).error == 0);
}

TEST_CASE("session: two directories exchanged by the guest, both are found") {
  shared_folder t{{.nodes = 100, .cached_descriptors = 0, .handles = 10}};
  std::filesystem::create_directory(t.host / "a");
  std::filesystem::create_directory(t.host / "b");
  t.put("a/f", "1");
  t.put("b/f", "22");
  const auto a = t.client.walk("c1/rootfs/a/f");
  const auto b = t.client.walk("c1/rootfs/b/f");
  REQUIRE(t.client.rename(t.root, "a", t.root, "b", RENAME_EXCHANGE).error == 0);
  CHECK(t.client.getattr(a).as<fuse_attr_out>().attr.size == 1);
  CHECK(t.client.getattr(b).as<fuse_attr_out>().attr.size == 2);
}
