// Needs root: acting as somebody else is root's right. Without it these are skipped by themselves.
#include "actors/sharefs/fuse/credentials.hpp"
#include "tests/unit/sharefs/fixture.hpp"

#include <sys/xattr.h>
#include <unistd.h>

#include <functional>
#include <thread>

using namespace troupe;
using namespace troupe::testing;

namespace {

/// Runs as a worker thread does; what the thread gave up ends with it.
void on_worker(const std::function<void()>& work) {
  if (::geteuid() != 0) {
    WARN("skipped: needs root");
    return;
  }
  std::exception_ptr failed;
  std::thread{[&] {
    try {
      REQUIRE(fuse::prepare_worker_thread());
      work();
    } catch (...) {
      failed = std::current_exception();
    }
  }}.join();
  if (failed)
    std::rethrow_exception(failed);
}

struct open_to_all : shared_folder {
  open_to_all() { ::chmod(host.c_str(), 0777); }
  void act(std::uint32_t user, std::uint32_t group) {
    client.uid = user;
    client.gid = group;
  }
};

} // namespace

TEST_CASE("what a guest's user makes, belongs to that user") {
  open_to_all t;
  on_worker([&] {
    t.act(1000, 1001);
    CHECK(t.client.create(t.root, "f", O_RDWR, 0666).error == 0);
    CHECK(t.client.mkdir(t.root, "d", 0777).error == 0);
    CHECK(t.client.symlink(t.root, "l", "f").error == 0);
    CHECK(t.client.mknod(t.root, "p", S_IFIFO | 0666).error == 0);
    for (const auto* name : {"f", "d", "l", "p"}) {
      CHECK(t.status(name).st_uid == 1000);
      CHECK(t.status(name).st_gid == 1001);
    }
    CHECK((t.status("f").st_mode & 07777) == 0666); // no umask of ours
    t.act(0, 0);
    t.client.create(t.root, "r", O_RDWR, 0600);
    CHECK(t.status("r").st_uid == 0);
  });
}

TEST_CASE("a guest's user changing another's file: EPERM on the host, too") {
  open_to_all t;
  t.put("f", "text");
  on_worker([&] {
    t.act(1000, 1000);
    fuse_setattr_in in{};
    in.valid = FATTR_UID;
    in.uid = 1000;
    CHECK(t.client.setattr(t.node("f"), in).error == EPERM);
    in.valid = FATTR_MODE;
    in.mode = 0777;
    CHECK(t.client.setattr(t.node("f"), in).error == EPERM);
    CHECK(t.status("f").st_uid == 0);
    t.act(0, 0);
    in.valid = FATTR_UID;
    CHECK(t.client.setattr(t.node("f"), in).error == 0);
    CHECK(t.status("f").st_uid == 1000);
  });
}

TEST_CASE("a user id that is none: EPERM, not root's rights") {
  open_to_all t;
  on_worker([&] {
    t.act(~0U, 0);
    CHECK(t.client.create(t.root, "f", O_RDWR, 0600).error == EPERM);
    t.act(0, ~0U);
    CHECK(t.client.create(t.root, "f", O_RDWR, 0600).error == EPERM);
    CHECK_FALSE(t.exists("f"));
  });
}

TEST_CASE("SGID of a file made by somebody outside the directory's group: cleared") {
  open_to_all t;
  REQUIRE(::chown(t.host.c_str(), 0, 2000) == 0);
  REQUIRE(::chmod(t.host.c_str(), 02777) == 0);
  on_worker([&] {
    t.act(1000, 1000);
    REQUIRE(t.client.create(t.root, "f", O_RDWR, 02775).error == 0);
    CHECK(t.status("f").st_gid == 2000);
    CHECK((t.status("f").st_mode & S_ISGID) == 0);
  });
}

TEST_CASE("a write by a guest's user: SUID, SGID and capabilities are gone") {
  open_to_all t;
  t.put("f", "text");
  const auto path = (t.host / "f").string();
  // VFS_CAP_REVISION_2 with CAP_NET_RAW permitted.
  const std::array<std::uint32_t, 5> capability{0x02000000, 1U << 13, 0, 0, 0};
  REQUIRE(::chmod(path.c_str(), 06755) == 0);
  REQUIRE(::setxattr(path.c_str(), "security.capability", capability.data(), sizeof capability,
                     0) == 0);
  on_worker([&] {
    const auto handle = t.opened("f", O_RDWR);
    t.act(1000, 1000);
    REQUIRE(t.client.write(handle, 0, "x").error == 0);
    CHECK((t.status("f").st_mode & 07777) == 0755);
    CHECK(::getxattr(path.c_str(), "security.capability", nullptr, 0) == -1);
  });
}

TEST_CASE("a write by the guest's root: SUID goes when the guest's kernel says so") {
  open_to_all t;
  t.put("f", "text");
  const auto path = (t.host / "f").string();
  REQUIRE(::chmod(path.c_str(), 06755) == 0);
  on_worker([&] {
    t.act(0, 0);
    const auto handle = t.opened("f", O_RDWR);
    t.client.write(handle, 0, "x");
    CHECK((t.status("f").st_mode & 07777) == 06755);
    t.client.write(handle, 0, "x", FUSE_WRITE_KILL_SUIDGID);
    CHECK((t.status("f").st_mode & 07777) == 0755);
    REQUIRE(::chmod(path.c_str(), 06755) == 0);
    fuse_setattr_in in{};
    in.valid = FATTR_SIZE | FATTR_KILL_SUIDGID;
    CHECK(t.client.setattr(t.node("f"), in).error == 0);
    CHECK((t.status("f").st_mode & 07777) == 0755);
  });
}

TEST_CASE("a worker thread: no supplementary groups, no way to trusted attributes") {
  open_to_all t;
  t.put("f", "");
  on_worker([&] {
    CHECK(::getgroups(0, nullptr) == 0);
    CHECK(::setxattr((t.host / "f").c_str(), "trusted.a", "x", 1, 0) == -1);
    CHECK(errno == EPERM);
  });
}

TEST_CASE("a file in a directory closed to the user: the guest's kernel decides, not the host") {
  open_to_all t;
  std::filesystem::create_directory(t.host / "d");
  REQUIRE(::chmod((t.host / "d").c_str(), 0770) == 0);
  on_worker([&] {
    t.act(1000, 1000);
    // As if by a supplementary group, which FUSE 7.38 does not carry.
    CHECK(t.client.create(t.client.walk("c1/rootfs/d"), "f", O_RDWR, 0600).error == 0);
    CHECK(t.status("d/f").st_uid == 1000);
  });
}
