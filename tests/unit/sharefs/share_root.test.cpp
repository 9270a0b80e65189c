#include "actors/sharefs/share_root.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>

#include <chrono>

using namespace troupe;
using namespace troupe::sharefs;

namespace {

share_ptr some_share() {
  return std::make_shared<share>(unique_fd{::open("/", O_PATH | O_CLOEXEC)}, share_policy{});
}

} // namespace

TEST_CASE("share_root: a nested path, its directories appear and go with it") {
  share_root names;
  REQUIRE(names.add("c1/rootfs", some_share()));
  REQUIRE(names.add("c1-hosts", some_share()));
  const auto listed = names.list(share_root::top);
  REQUIRE(listed->size() == 2);
  CHECK(listed->at(0).name == "c1");
  CHECK(listed->at(1).name == "c1-hosts");
  const auto folder = names.find(share_root::top, "c1")->directory;
  CHECK(folder != 0);
  CHECK(names.find(folder, "rootfs")->tree);
  CHECK_FALSE(names.find(folder, "other"));

  REQUIRE(names.take("c1/rootfs"));
  CHECK_FALSE(names.has(folder));
  CHECK(names.list(share_root::top)->size() == 1);
}

TEST_CASE("share_root: a directory that comes back, has another number") {
  share_root names;
  REQUIRE(names.add("c1/rootfs", some_share()));
  const auto first = names.find(share_root::top, "c1")->directory;
  REQUIRE(names.take("c1/rootfs"));
  REQUIRE(names.add("c1/rootfs", some_share()));
  CHECK(names.find(share_root::top, "c1")->directory != first);
}

TEST_CASE("share_root: taking one of two siblings, the directory stays") {
  share_root names;
  REQUIRE(names.add("c1/rootfs", some_share()));
  REQUIRE(names.add("c1/volume", some_share()));
  REQUIRE(names.take("c1/rootfs"));
  CHECK(names.list(names.find(share_root::top, "c1")->directory)->size() == 1);
}

TEST_CASE("share_root: paths that are none, refused by name of the component") {
  share_root names;
  for (const auto* path :
       {"", "/", "/c1", "c1/", "c1//rootfs", ".", "c1/../c2", "a/b/c/d/e/f/g/h/i"}) {
    INFO(path);
    const auto added = names.add(path, some_share());
    REQUIRE_FALSE(added);
    CHECK(added.error().code == errc::invalid_argument);
  }
  CHECK_FALSE(names.add(std::string(256, 'n'), some_share()));
  CHECK_FALSE(names.add(std::string_view{"a\0b", 3}, some_share()));
  CHECK(names.list(share_root::top)->empty());
}

TEST_CASE("share_root: one share inside another or in its place, already_exists") {
  share_root names;
  REQUIRE(names.add("c1", some_share()));
  CHECK(names.add("c1", some_share()).error().code == errc::already_exists);
  CHECK(names.add("c1/rootfs", some_share()).error().code == errc::already_exists);
  REQUIRE(names.add("c2/rootfs", some_share()));
  CHECK(names.add("c2", some_share()).error().code == errc::already_exists);
}

TEST_CASE("share_root: taking what is no share, not_found") {
  share_root names;
  REQUIRE(names.add("c1/rootfs", some_share()));
  CHECK(names.take("c1").error().code == errc::not_found);
  CHECK(names.take("c1/rootfs/etc").error().code == errc::not_found);
  CHECK(names.take("c2").error().code == errc::not_found);
  CHECK(names.find(share_root::top, "c1")->directory != 0);
}

TEST_CASE("share: its last user gone, said so") {
  auto tree = some_share();
  auto gone = tree->gone();
  CHECK(gone.wait_for(std::chrono::seconds{0}) == std::future_status::timeout);
  tree.reset();
  CHECK(gone.wait_for(std::chrono::seconds{0}) == std::future_status::ready);
}
