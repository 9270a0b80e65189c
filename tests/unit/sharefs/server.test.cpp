#include "tests/unit/sharefs/fixture.hpp"

#include <sys/xattr.h>

#include <algorithm>
#include <set>

using namespace troupe;
using namespace troupe::testing;

TEST_CASE("INIT: minor and flags, the smaller of both sides") {
  fuse::session shares;
  fuse_client client{shares};
  const auto reply = client.init(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_WRITEBACK_CACHE, 36);
  REQUIRE(reply.error == 0);
  const auto out = reply.as<fuse_init_out>();
  CHECK(out.major == 7);
  CHECK(out.minor == 36);
  CHECK(out.flags == FUSE_ASYNC_READ);
  CHECK(out.flags2 == 0);
  CHECK(out.max_write == fuse::max_transfer);
  CHECK(out.max_pages == 256);
  CHECK(out.max_readahead == 128U << 10);
  CHECK(client.init(~0U, 45).as<fuse_init_out>().minor == 38);
}

TEST_CASE("INIT: a newer major, answered with ours; one too old, EPROTO") {
  fuse::session shares;
  fuse_client client{shares};
  fuse_init_in in{};
  in.major = 8;
  const auto newer = client.call(FUSE_INIT, 0, fuse_args{}.add(in));
  CHECK(newer.as<fuse_init_out>().major == 7);
  CHECK(client.lookup(1, "a").error == EPROTO);
  CHECK(client.init(0, 30).error == EPROTO);
  in.major = 6;
  CHECK(client.call(FUSE_INIT, 0, fuse_args{}.add(in)).error == EPROTO);
}

TEST_CASE("INIT: the upper flags, not read unless announced") {
  fuse::session shares;
  fuse_client client{shares};
  // Only four words: without FUSE_INIT_EXT no more is there, with it that is too short.
  const auto words = fuse_args{}.add(std::array<std::uint32_t, 4>{7, 38, 0, 0});
  CHECK(client.call(FUSE_INIT, 0, words).error == 0);
  const auto extended = fuse_args{}.add(std::array<std::uint32_t, 4>{7, 38, 0, FUSE_INIT_EXT});
  CHECK(client.call(FUSE_INIT, 0, extended).error == EINVAL);
}

TEST_CASE("LOOKUP: kinds, sizes and modes as on the host") {
  shared_folder t;
  t.put("f", "12345");
  ::chmod((t.host / "f").c_str(), 0640);
  std::filesystem::create_symlink("f", t.host / "l");
  const auto file = t.client.lookup(t.root, "f").as<fuse_entry_out>();
  CHECK(file.attr.mode == (S_IFREG | 0640U));
  CHECK(file.attr.size == 5);
  CHECK(file.attr.ino == t.status("f").st_ino);
  CHECK(file.attr.mtimensec == t.status("f").st_mtim.tv_nsec);
  CHECK(file.entry_valid == 1);
  CHECK(S_ISLNK(t.client.lookup(t.root, "l").as<fuse_entry_out>().attr.mode));
  CHECK(t.client.lookup(t.root, "none").error == ENOENT);
  CHECK(t.client.call(FUSE_READLINK, t.node("l")).text() == "f");
}

TEST_CASE("LOOKUP: a tree that only the guest changes, valid for long") {
  shared_folder t{{}, {.exclusive = true}};
  t.put("f", "");
  CHECK(t.client.lookup(t.root, "f").as<fuse_entry_out>().attr_valid == 86'400);
  CHECK(t.client.open(t.node("f"), O_RDONLY).as<fuse_open_out>().open_flags ==
        (FOPEN_KEEP_CACHE | FOPEN_NOFLUSH));
}

TEST_CASE("LOOKUP: a share's root, announced as a mount of its own") {
  shared_folder t;
  const auto folder = t.client.lookup(fuse::root_node, "c1").as<fuse_entry_out>();
  CHECK(folder.attr.flags == 0);
  CHECK(folder.attr.mode == (S_IFDIR | 0555U));
  CHECK(t.client.lookup(folder.nodeid, "rootfs").as<fuse_entry_out>().attr.flags ==
        FUSE_ATTR_SUBMOUNT);
}

TEST_CASE("CREATE, WRITE, READ: the bytes are on the host and come back") {
  shared_folder t;
  const auto made = t.client.create(t.root, "f", O_RDWR, 0600);
  REQUIRE(made.error == 0);
  CHECK(made.as<fuse_entry_out>().attr.mode == (S_IFREG | 0600U));
  const auto handle = fuse::arguments{std::span{made.body}.subspan(sizeof(fuse_entry_out))}
                          .take<fuse_open_out>()
                          ->fh;
  CHECK(t.client.write(handle, 3, "abc").as<fuse_write_out>().size == 3);
  CHECK(t.get("f") == std::string("\0\0\0abc", 6));
  CHECK(t.client.read(handle, 4, 100).text() == "bc");
  CHECK(t.client.read(handle, 6, 100).body.empty());
  CHECK(t.client.release(handle).error == 0);
  CHECK(t.client.read(handle, 0, 1).error == ESTALE);
}

TEST_CASE("CREATE: what is there already, opened or EEXIST as asked") {
  shared_folder t;
  t.put("f", "text");
  CHECK(t.client.create(t.root, "f", O_RDWR | O_EXCL, 0600).error == EEXIST);
  CHECK(t.client.create(t.root, "f", O_RDWR, 0600).error == 0);
  CHECK(t.get("f") == "text");
  std::filesystem::create_symlink("elsewhere", t.host / "l");
  CHECK(t.client.create(t.root, "l", O_RDWR, 0600).error == ELOOP);
  CHECK_FALSE(t.exists("elsewhere"));
  ::mkfifo((t.host / "p").c_str(), 0600);
  CHECK(t.client.create(t.root, "p", O_RDWR, 0600).error == ENXIO);
}

TEST_CASE(
    "WRITE: appending, at the end wherever the guest thinks it is, but not for mapped pages") {
  shared_folder t;
  t.put("f", "12345");
  const auto handle = t.opened("f", O_WRONLY | O_APPEND);
  CHECK(t.client.write(handle, 0, "67", 0, O_WRONLY | O_APPEND).error == 0);
  CHECK(t.get("f") == "1234567");
  CHECK(t.client.write(handle, 0, "X", FUSE_WRITE_CACHE, O_WRONLY | O_APPEND).error == 0);
  CHECK(t.get("f") == "X234567");
}

TEST_CASE("OPEN: with O_TRUNC, empty; for reading, no write") {
  shared_folder t;
  t.put("f", "12345");
  CHECK(t.client.write(t.opened("f", O_RDONLY), 0, "x").error == EBADF);
  t.opened("f", O_WRONLY | O_TRUNC);
  CHECK(t.get("f").empty());
  std::filesystem::create_directory(t.host / "d");
  CHECK(t.client.open(t.node("d"), O_RDONLY).error == EISDIR);
  CHECK(t.client.open(t.node("f"), 0, FUSE_OPENDIR).error == ENOTDIR);
}

TEST_CASE("SETATTR: mode, size and times to the nanosecond") {
  shared_folder t;
  t.put("f", "12345");
  fuse_setattr_in in{};
  in.valid = FATTR_MODE | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME;
  in.mode = 0710;
  in.size = 3;
  in.atime = 1'000'000'000;
  in.atimensec = 1;
  in.mtime = 2'000'000'000;
  in.mtimensec = 999'999'999;
  const auto attr = t.client.setattr(t.node("f"), in).as<fuse_attr_out>().attr;
  CHECK(attr.mode == (S_IFREG | 0710U));
  CHECK(attr.size == 3);
  const auto host = t.status("f");
  CHECK(host.st_atim.tv_sec == 1'000'000'000);
  CHECK(host.st_atim.tv_nsec == 1);
  CHECK(host.st_mtim.tv_sec == 2'000'000'000);
  CHECK(host.st_mtim.tv_nsec == 999'999'999);
  in.valid = FATTR_MTIME;
  in.mtimensec = 1'000'000'000;
  CHECK(t.client.setattr(t.node("f"), in).error == EINVAL);
}

TEST_CASE("SETATTR: a link's times, its own and not its target's") {
  shared_folder t;
  t.put("f", "");
  std::filesystem::create_symlink("f", t.host / "l");
  fuse_setattr_in in{};
  in.valid = FATTR_MTIME;
  in.mtime = 5;
  CHECK(t.client.setattr(t.node("l"), in).error == 0);
  CHECK(t.status("l").st_mtim.tv_sec == 5);
  CHECK(t.status("f").st_mtim.tv_sec != 5);
  in.valid = FATTR_MODE;
  CHECK(t.client.setattr(t.node("l"), in).error == EOPNOTSUPP);
  in.valid = FATTR_SIZE;
  CHECK(t.client.setattr(t.node("l"), in).error == EINVAL);
}

TEST_CASE("UNLINK: while open, the file stays usable by handle and by node") {
  shared_folder t{{.nodes = 100, .cached_descriptors = 0, .handles = 10}};
  t.put("f", "text");
  const auto node = t.node("f");
  const auto handle = t.opened("f", O_RDWR);
  REQUIRE(t.client.named(FUSE_UNLINK, t.root, "f").error == 0);
  CHECK_FALSE(t.exists("f"));
  CHECK(t.client.read(handle, 0, 10).text() == "text");
  CHECK(t.client.getattr(node).as<fuse_attr_out>().attr.nlink == 0);
  CHECK(t.shares.count().pinned_descriptors == 1);
  t.client.release(handle);
  t.client.forget(node, 2);
  CHECK(t.shares.count().pinned_descriptors == 0);
  CHECK(t.client.getattr(node).error == ESTALE);
}

TEST_CASE("RENAME over a file that is in use: the replaced one stays usable") {
  shared_folder t{{.nodes = 100, .cached_descriptors = 0, .handles = 10}};
  t.put("new", "new");
  t.put("old", "old!");
  const auto replaced = t.node("old");
  const auto winner = t.node("new");
  REQUIRE(t.client.rename(t.root, "new", t.root, "old").error == 0);
  CHECK(t.client.getattr(replaced).as<fuse_attr_out>().attr.size == 4);
  CHECK(t.client.getattr(winner).as<fuse_attr_out>().attr.size == 3);
  CHECK(t.get("old") == "new");
}

TEST_CASE("RENAME2: its flags are the host's, unknown ones EINVAL") {
  shared_folder t;
  t.put("a", "");
  t.put("b", "");
  CHECK(t.client.rename(t.root, "a", t.root, "b", RENAME_NOREPLACE).error == EEXIST);
  CHECK(t.client.rename(t.root, "a", t.root, "none", RENAME_EXCHANGE).error == ENOENT);
  CHECK(t.client.rename(t.root, "a", t.root, "b", 8).error == EINVAL);
}

TEST_CASE("LINK: another name of the same node; across shares EXDEV") {
  shared_folder t;
  t.put("f", "");
  const auto node = t.node("f");
  const auto linked = t.client.link(node, t.root, "g").as<fuse_entry_out>();
  CHECK(linked.nodeid == node);
  CHECK(linked.attr.nlink == 2);
  std::filesystem::create_symlink("f", t.host / "l");
  CHECK(S_ISLNK(t.client.link(t.node("l"), t.root, "l2").as<fuse_entry_out>().attr.mode));
  t.share("c2/rootfs", t.host);
  const auto other = t.client.walk("c2/rootfs");
  CHECK(t.client.link(node, other, "h").error == EXDEV);
  CHECK(t.client.rename(t.root, "f", other, "h").error == EXDEV);
}

TEST_CASE("LINK: one of two names deleted, the other leads to the node") {
  shared_folder t{{.nodes = 100, .cached_descriptors = 0, .handles = 10}};
  t.put("f", "text");
  const auto node = t.node("f");
  t.client.link(node, t.root, "g");
  REQUIRE(t.client.named(FUSE_UNLINK, t.root, "g").error == 0);
  CHECK(t.client.open(node, O_RDONLY).error == 0);
}

TEST_CASE("MKNOD: files, fifos and sockets are names; devices are EPERM but for a whiteout") {
  shared_folder t;
  CHECK(t.client.mknod(t.root, "f", S_IFREG | 0600).error == 0);
  CHECK(S_ISFIFO(t.client.mknod(t.root, "p", S_IFIFO | 0600).as<fuse_entry_out>().attr.mode));
  CHECK(S_ISSOCK(t.client.mknod(t.root, "s", S_IFSOCK | 0600).as<fuse_entry_out>().attr.mode));
  CHECK(t.client.mknod(t.root, "c", S_IFCHR | 0600, 0x103).error == EPERM);
  CHECK(t.client.mknod(t.root, "b", S_IFBLK | 0600, 0).error == EPERM);
  CHECK(t.client.mknod(t.root, "d", S_IFDIR | 0700, 0).error == EPERM);
  CHECK(t.client.mknod(t.root, "w", S_IFCHR, 0).error == 0);
  CHECK(S_ISCHR(t.status("w").st_mode));
  CHECK(t.status("w").st_rdev == 0);
  CHECK_FALSE(t.exists("c"));
}

TEST_CASE("OPEN of a fifo, socket or device: ENXIO, and nothing is opened on the host") {
  shared_folder t;
  ::mkfifo((t.host / "p").c_str(), 0600);
  t.client.mknod(t.root, "s", S_IFSOCK | 0600);
  t.client.mknod(t.root, "w", S_IFCHR, 0);
  for (const auto* name : {"p", "s", "w"}) {
    CHECK(t.client.open(t.node(name), O_RDONLY).error == ENXIO);
    CHECK(t.client.open(t.node(name), O_RDWR).error == ENXIO);
  }
  CHECK(t.shares.count().handles == 0);
}

TEST_CASE("READDIR: every name once, however small the requests") {
  shared_folder t;
  std::set<std::string> expected;
  for (int i = 0; i < 300; ++i) {
    const auto name = std::string(static_cast<std::size_t>(i % 200 + 1), 'n') + std::to_string(i);
    t.put(name, "");
    expected.insert(name);
  }
  for (const bool plus : {false, true})
    for (const std::uint32_t size : {512U, 4096U, 100'000U}) {
      const auto names = t.client.list(t.root, size, plus);
      CHECK(names.size() == expected.size());
      CHECK(std::set<std::string>(names.begin(), names.end()) == expected);
    }
}

TEST_CASE("READDIR: a request too small for one entry, EINVAL") {
  shared_folder t;
  t.put("a-name-of-some-length", "");
  const auto handle = t.client.open(t.root, 0, FUSE_OPENDIR).as<fuse_open_out>().fh;
  CHECK(t.client.read(handle, 0, 16, FUSE_READDIR).error == EINVAL);
}

TEST_CASE("READDIR: going back to an offset, the same entries again") {
  shared_folder t;
  for (int i = 0; i < 100; ++i)
    t.put("file" + std::to_string(i), "");
  const auto handle = t.client.open(t.root, 0, FUSE_OPENDIR).as<fuse_open_out>().fh;
  const auto first = t.client.read(handle, 0, 1024, FUSE_READDIR).body;
  t.client.read(handle, 0, 512, FUSE_READDIR);
  CHECK(t.client.read(handle, 0, 1024, FUSE_READDIR).body == first);
}

TEST_CASE("READDIRPLUS: each entry is one lookup, the dots are none") {
  shared_folder t;
  t.put("a", "");
  t.put("b", "");
  const auto before = t.shares.count().nodes;
  CHECK(t.client.list(t.root, 4096, true).size() == 2);
  CHECK(t.shares.count().nodes == before + 2);
  t.client.forget(t.node("a"), 2);
  CHECK(t.shares.count().nodes == before + 1);
}

TEST_CASE("xattr: set, listed, read, removed; sizes asked first") {
  shared_folder t;
  t.put("f", "");
  const auto node = t.node("f");
  const auto set = [&](std::string_view name, std::string_view value) {
    return t.client.call(
        FUSE_SETXATTR, node,
        fuse_args{}
            .add(fuse_setxattr_in{static_cast<std::uint32_t>(value.size()), 0, 0, 0})
            .text(name)
            .raw(value));
  };
  const auto get = [&](std::string_view name, std::uint32_t size) {
    return t.client.call(FUSE_GETXATTR, node,
                         fuse_args{}.add(fuse_getxattr_in{size, 0}).text(name));
  };
  REQUIRE(set("user.a", "value").error == 0);
  CHECK(get("user.a", 0).as<fuse_getxattr_out>().size == 5);
  CHECK(get("user.a", 100).text() == "value");
  CHECK(get("user.a", 4).error == ERANGE);
  CHECK(get("user.none", 100).error == ENODATA);
  std::array<char, 8> host{};
  CHECK(::getxattr((t.host / "f").c_str(), "user.a", host.data(), host.size()) == 5);
  const auto list = [&](std::uint32_t size) {
    return t.client.call(FUSE_LISTXATTR, node, fuse_args{}.add(fuse_getxattr_in{size, 0}));
  };
  CHECK(list(0).as<fuse_getxattr_out>().size == 7);
  CHECK(list(100).text() == std::string("user.a\0", 7));
  CHECK(t.client.named(FUSE_REMOVEXATTR, node, "user.a").error == 0);
  CHECK(get("user.a", 100).error == ENODATA);
}

TEST_CASE("xattr: names that belong to the host, EOPNOTSUPP and not listed") {
  shared_folder t;
  t.put("f", "");
  const auto node = t.node("f");
  for (const auto* name : {"trusted.overlay.opaque", "security.selinux", "system.posix_acl_access",
                           "usr.a", "security.capability2"}) {
    INFO(name);
    CHECK(t.client
              .call(FUSE_SETXATTR, node,
                    fuse_args{}.add(fuse_setxattr_in{1, 0, 0, 0}).text(name).raw("x"))
              .error == EOPNOTSUPP);
    CHECK(t.client.named(FUSE_REMOVEXATTR, node, name).error == EOPNOTSUPP);
  }
}

TEST_CASE("LSEEK, FALLOCATE, COPY_FILE_RANGE: holes and ranges as on the host") {
  shared_folder t;
  t.put("f", "");
  const auto handle = t.opened("f", O_RDWR);
  t.client.write(handle, 1 << 20, "end");
  const auto seek = [&](std::uint64_t at, std::uint32_t whence) {
    return t.client.call(FUSE_LSEEK, 0, fuse_args{}.add(fuse_lseek_in{handle, at, whence, 0}));
  };
  CHECK(seek(0, SEEK_DATA).as<fuse_lseek_out>().offset == 1 << 20);
  CHECK(seek(0, SEEK_HOLE).as<fuse_lseek_out>().offset == 0);
  CHECK(seek(0, SEEK_SET).error == EINVAL);
  const auto allocate = [&](std::uint32_t mode) {
    return t.client.call(FUSE_FALLOCATE, 0,
                         fuse_args{}.add(fuse_fallocate_in{handle, 0, 2 << 20, mode, 0}));
  };
  CHECK(allocate(0).error == 0);
  CHECK(t.status("f").st_size == 2 << 20);
  CHECK(allocate(0x20).error == EOPNOTSUPP);
  t.put("g", "");
  const auto copied = t.client.call(
      FUSE_COPY_FILE_RANGE, 0,
      fuse_args{}.add(fuse_copy_file_range_in{handle, 1 << 20, 0, t.opened("g", O_RDWR), 0, 3, 0}));
  CHECK(copied.as<fuse_write_out>().size == 3);
  CHECK(t.get("g") == "end");
}

TEST_CASE("read-only share: every change is EROFS, reading is not") {
  shared_folder t{{}, {.read_only = true}};
  t.put("f", "text");
  std::filesystem::create_directory(t.host / "d");
  const auto f = t.node("f");
  CHECK(t.client.read(t.opened("f", O_RDONLY), 0, 10).text() == "text");
  CHECK(t.client.open(f, O_RDWR).error == EROFS);
  CHECK(t.client.open(f, O_RDONLY | O_TRUNC).error == EROFS);
  CHECK(t.client.create(t.root, "n", O_RDONLY, 0600).error == EROFS);
  CHECK(t.client.mkdir(t.root, "n").error == EROFS);
  CHECK(t.client.mknod(t.root, "n", S_IFREG).error == EROFS);
  CHECK(t.client.symlink(t.root, "n", "f").error == EROFS);
  CHECK(t.client.link(f, t.root, "n").error == EROFS);
  CHECK(t.client.rename(t.root, "f", t.root, "n").error == EROFS);
  CHECK(t.client.named(FUSE_UNLINK, t.root, "f").error == EROFS);
  CHECK(t.client.named(FUSE_RMDIR, t.root, "d").error == EROFS);
  CHECK(t.client.setattr(f, fuse_setattr_in{}).error == EROFS);
  CHECK(t.client.named(FUSE_REMOVEXATTR, f, "user.a").error == EROFS);
  const auto handle = t.opened("f", O_RDONLY);
  CHECK(t.client.write(handle, 0, "x").error == EROFS);
  CHECK(t.client.call(FUSE_FALLOCATE, 0, fuse_args{}.add(fuse_fallocate_in{handle, 0, 9, 0, 0}))
            .error == EROFS);
  CHECK(t.get("f") == "text");
}

TEST_CASE("virtual directories: listed, described, never changed") {
  shared_folder t;
  const auto c1 = t.client.walk("c1");
  CHECK(t.client.list(fuse::root_node, 512, true) == std::vector<std::string>{"c1"});
  CHECK(t.client.list(c1) == std::vector<std::string>{"rootfs"});
  for (const auto node : {fuse::root_node, c1}) {
    CHECK(t.client.getattr(node).as<fuse_attr_out>().attr.mode == (S_IFDIR | 0555U));
    CHECK(t.client.mkdir(node, "n").error == EROFS);
    CHECK(t.client.create(node, "n", O_RDWR, 0600).error == EROFS);
    CHECK(t.client.named(FUSE_UNLINK, node, "rootfs").error == EROFS);
    CHECK(t.client.named(FUSE_RMDIR, node, "rootfs").error == EROFS);
    CHECK(t.client.rename(node, "rootfs", node, "n").error == EROFS);
    CHECK(t.client.setattr(node, fuse_setattr_in{}).error == EROFS);
    CHECK(t.client.open(node, O_RDONLY).error == EISDIR);
    CHECK(t.client.call(FUSE_STATFS, node).as<fuse_statfs_out>().st.namelen == 255);
    CHECK(t.client.call(FUSE_SYNCFS, node, fuse_args{}.add(fuse_syncfs_in{})).error == 0);
  }
  CHECK(t.client.rename(c1, "rootfs", t.root, "n").error == EROFS);
}

TEST_CASE("opcodes that stay in the guest: ENOSYS, so that it does not ask again") {
  shared_folder t;
  for (const auto opcode : {FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW, FUSE_ACCESS, FUSE_BMAP, FUSE_POLL,
                            FUSE_IOCTL, FUSE_INTERRUPT, FUSE_SETUPMAPPING, FUSE_TMPFILE})
    CHECK(t.client.call(opcode, t.root).error == ENOSYS);
}
