// What a guest that lies gets: an errno, never more than its limits, never anything outside.
#include "tests/unit/sharefs/fixture.hpp"

#include <atomic>
#include <thread>

using namespace troupe;
using namespace troupe::testing;

namespace {

std::vector<std::byte> header_only(std::uint32_t opcode, std::uint32_t length) {
  fuse_in_header header{};
  header.len = length;
  header.opcode = opcode;
  header.unique = 77;
  return fuse_args{}.add(header).bytes();
}

} // namespace

TEST_CASE("a request shorter than its header, or than it says: EINVAL") {
  shared_folder t;
  CHECK(t.client.send({}).error == EINVAL);
  CHECK(t.client.send(std::vector<std::byte>(39)).error == EINVAL);
  CHECK(t.client.send(header_only(FUSE_GETATTR, 41)).error == EINVAL);
  CHECK(t.client.send(header_only(FUSE_GETATTR, 39)).error == EINVAL);
  CHECK(t.client.send(header_only(FUSE_GETATTR, 0)).error == EINVAL);
  CHECK(t.client.send(header_only(FUSE_GETATTR, ~0U)).error == EINVAL);
  CHECK(t.client.send(header_only(FUSE_GETATTR, 40)).error == EINVAL);
  CHECK_FALSE(t.client.send(header_only(FUSE_FORGET, ~0U)).answered);
  CHECK(t.client.send(header_only(9999, 40)).error == ENOSYS);
}

TEST_CASE("a request too long for any opcode: EINVAL before it is copied") {
  shared_folder t;
  CHECK(t.client.call(FUSE_LOOKUP, t.root, fuse_args{}.raw(std::string(fuse::max_request, 'n')))
            .error == EINVAL);
}

TEST_CASE("no room for a reply: nothing is written and nothing is done") {
  shared_folder t;
  t.put("f", "");
  const auto before = t.shares.count().nodes;
  t.client.room = 15;
  CHECK_FALSE(t.client.lookup(t.root, "f").answered);
  CHECK_FALSE(t.client.mkdir(t.root, "d").answered);
  t.client.room = 16 + sizeof(fuse_entry_out) - 1;
  CHECK(t.client.lookup(t.root, "f").error == EINVAL);
  CHECK(t.client.mkdir(t.root, "d").error == EINVAL);
  CHECK_FALSE(t.exists("d"));
  CHECK(t.shares.count().nodes == before);
}

TEST_CASE("names that are no names, in every request that carries one: refused") {
  shared_folder t;
  t.put("f", "text");
  const auto f = t.node("f");
  struct bad {
    std::string name;
    int error;
  };
  const std::vector<bad> names{{"", EINVAL},
                               {".", EINVAL},
                               {"..", EINVAL},
                               {"/", EINVAL},
                               {"/etc/passwd", EINVAL},
                               {"a/b", EINVAL},
                               {"../f", EINVAL},
                               {std::string(256, 'n'), ENAMETOOLONG}};
  for (const auto& [name, error] : names) {
    INFO(name);
    CHECK(t.client.lookup(t.root, name).error == error);
    CHECK(t.client.mkdir(t.root, name).error == error);
    CHECK(t.client.mknod(t.root, name, S_IFREG).error == error);
    CHECK(t.client.create(t.root, name, O_RDWR, 0600).error == error);
    CHECK(t.client.symlink(t.root, name, "f").error == error);
    CHECK(t.client.link(f, t.root, name).error == error);
    CHECK(t.client.rename(t.root, name, t.root, "n").error == error);
    CHECK(t.client.rename(t.root, "f", t.root, name).error == error);
    CHECK(t.client.named(FUSE_UNLINK, t.root, name).error == error);
    CHECK(t.client.named(FUSE_RMDIR, t.root, name).error == error);
  }
  CHECK(t.client.call(FUSE_LOOKUP, t.root, fuse_args{}.raw("f")).error == EINVAL); // no NUL
  CHECK(t.get("f") == "text");
}

TEST_CASE("a planted link: shown, never followed") {
  shared_folder t;
  std::filesystem::create_directory(t.host / "inside");
  CHECK(t.client.symlink(t.root, "out", "/etc").error == 0);
  CHECK(t.client.symlink(t.root, "up", "../..").error == 0);
  for (const auto* name : {"out", "up"}) {
    const auto link = t.node(name);
    CHECK(t.client.lookup(link, "passwd").error == ENOTDIR);
    CHECK(t.client.open(link, O_RDONLY).error == ELOOP);
    CHECK(t.client.open(link, 0, FUSE_OPENDIR).error == ENOTDIR);
    CHECK(t.client.create(link, "planted", O_RDWR, 0600).error == ENOTDIR);
    CHECK(t.client.mkdir(link, "planted").error == ENOTDIR);
  }
}

TEST_CASE("a directory that became a link on the host: ESTALE, not what it points at") {
  shared_folder t{{.nodes = 100, .cached_descriptors = 0, .handles = 10}};
  std::filesystem::create_directory(t.host / "d");
  t.put("d/passwd", "inside");
  const auto file = t.client.walk("c1/rootfs/d/passwd");
  const auto folder = t.node("d");
  std::filesystem::rename(t.host / "d", t.host / "moved");
  std::filesystem::create_symlink("/etc", t.host / "d");
  CHECK(t.client.open(file, O_RDONLY).error == ESTALE);
  CHECK(t.client.lookup(folder, "passwd").error == ESTALE);
}

TEST_CASE("numbers never told: ESTALE for nodes and handles, of any opcode") {
  shared_folder t;
  const std::uint64_t virtual_unknown = (std::uint64_t{1} << 63) | 999;
  for (const auto node : {std::uint64_t{0}, std::uint64_t{999}, ~std::uint64_t{0} >> 1}) {
    CHECK(t.client.getattr(node).error == ESTALE);
    CHECK(t.client.lookup(node, "f").error == ESTALE);
    CHECK(t.client.open(node, O_RDONLY).error == ESTALE);
    CHECK(t.client.call(FUSE_READLINK, node).error == ESTALE);
    CHECK(t.client.read(node, 0, 10).error == ESTALE);
    CHECK(t.client.read(node, 0, 4096, FUSE_READDIR).error == ESTALE);
    t.client.forget(node, 3);
    t.client.release(node);
  }
  CHECK(t.client.getattr(virtual_unknown).error == ESTALE);
  CHECK(t.client.lookup(virtual_unknown, "f").error == ENOENT);
  CHECK(t.client.open(virtual_unknown, 0, FUSE_OPENDIR).error == ESTALE);
}

TEST_CASE("more open files than allowed: ENFILE, and room again after a close") {
  shared_folder t{{.nodes = 100, .cached_descriptors = 2, .handles = 3}};
  t.put("f", "");
  const auto node = t.node("f");
  const auto before = open_descriptors();
  std::vector<std::uint64_t> handles;
  for (int i = 0; i < 3; ++i)
    handles.push_back(t.client.open(node, O_RDONLY).as<fuse_open_out>().fh);
  CHECK(t.client.open(node, O_RDONLY).error == ENFILE);
  CHECK(t.client.open(t.root, 0, FUSE_OPENDIR).error == ENFILE);
  CHECK(t.client.open(fuse::root_node, 0, FUSE_OPENDIR).error == ENFILE);
  CHECK(open_descriptors() <= before + 4);
  t.client.release(handles.front());
  CHECK(t.client.open(node, O_RDONLY).error == 0);
}

TEST_CASE("more files known than allowed: ENFILE, listings go on") {
  shared_folder t{{.nodes = 5, .cached_descriptors = 2, .handles = 3}};
  for (int i = 0; i < 10; ++i)
    t.put(std::to_string(i), "");
  CHECK(t.client.list(t.root, 4096, true).size() == 10);
  CHECK(t.shares.count().nodes == 5);
  int refused = 0;
  for (int i = 0; i < 10; ++i)
    refused += t.client.lookup(t.root, std::to_string(i)).error == ENFILE ? 1 : 0;
  CHECK(refused == 6);
}

TEST_CASE("sizes beyond the caps: errors, no allocation of that size") {
  shared_folder t;
  t.put("f", "12345");
  const auto node = t.node("f");
  const auto handle = t.opened("f", O_RDWR);
  CHECK(t.client.read(handle, 0, ~0U).text() == "12345");
  CHECK(t.client.read(handle, ~std::uint64_t{0}, 5).error == EINVAL);
  fuse_write_in in{};
  in.fh = handle;
  in.size = 100;
  CHECK(t.client.call(FUSE_WRITE, 0, fuse_args{}.add(in).raw("short")).error == EINVAL);
  in.size = ~0U;
  CHECK(t.client.call(FUSE_WRITE, 0, fuse_args{}.add(in).raw("short")).error == EINVAL);
  CHECK(t.client.write(handle, std::uint64_t{1} << 63, "x").error == EINVAL);
  CHECK(t.client
            .call(FUSE_SETXATTR, node,
                  fuse_args{}.add(fuse_setxattr_in{~0U, 0, 0, 0}).text("user.a").raw("x"))
            .error == E2BIG);
  CHECK(t.client
            .call(FUSE_SETXATTR, node,
                  fuse_args{}.add(fuse_setxattr_in{100, 0, 0, 0}).text("user.a").raw("x"))
            .error == EINVAL);
  CHECK(t.client.symlink(t.root, "l", std::string(4096, 't')).error == ENAMETOOLONG);
  CHECK(t.client.symlink(t.root, "l", "").error == ENOENT);
  CHECK_FALSE(
      t.client.call(FUSE_BATCH_FORGET, 0, fuse_args{}.add(fuse_batch_forget_in{~0U, 0})).answered);
  fuse_setattr_in size{};
  size.valid = FATTR_SIZE;
  size.size = ~std::uint64_t{0};
  CHECK(t.client.setattr(node, size).error == EFBIG);
  CHECK(t.get("f") == "12345");
}

TEST_CASE("renaming and swapping while another thread walks: never a byte from outside") {
  shared_folder t{{.nodes = 1000, .cached_descriptors = 0, .handles = 100}};
  const auto outside = t.host.string() + "-outside";
  std::filesystem::create_directory(outside);
  std::ofstream{outside + "/f"} << "OUTSIDE";
  std::filesystem::create_directory(t.host / "d");
  t.put("d/f", "inside");
  std::filesystem::create_symlink(outside, t.host / "link");

  std::atomic<bool> stop = false;
  std::thread swapper{[&] {
    const auto d = (t.host / "d").string();
    const auto link = (t.host / "link").string();
    while (!stop)
      ::renameat2(AT_FDCWD, d.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
  }};
  std::thread mover{[&] {
    fuse_client guest{t.shares};
    while (!stop) {
      guest.rename(t.root, "d", t.root, "e");
      guest.rename(t.root, "e", t.root, "d");
    }
  }};
  int read_inside = 0;
  int read_outside = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto folder = t.node("d");
    if (folder == 0)
      continue;
    const auto entry = t.client.lookup(folder, "f").as<fuse_entry_out>();
    const auto open = t.client.open(entry.nodeid, O_RDONLY);
    if (open.error == 0) {
      const auto text = t.client.read(open.as<fuse_open_out>().fh, 0, 100).text();
      read_inside += text == "inside" ? 1 : 0;
      read_outside += text == "inside" ? 0 : 1;
      t.client.release(open.as<fuse_open_out>().fh);
    }
    t.client.forget(entry.nodeid);
    t.client.forget(folder);
  }
  stop = true;
  swapper.join();
  mover.join();
  std::filesystem::remove_all(outside);
  CHECK(read_outside == 0);
  CHECK(read_inside > 0);
}

TEST_CASE("many threads on one session: every file is read right") {
  shared_folder t{{.nodes = 1000, .cached_descriptors = 3, .handles = 100}};
  for (int i = 0; i < 16; ++i) {
    std::filesystem::create_directory(t.host / std::to_string(i));
    t.put(std::to_string(i) + "/f", std::to_string(i));
  }
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 4; ++worker)
    threads.emplace_back([&, worker] {
      fuse_client guest{t.shares};
      for (int i = 0; i < 200; ++i) {
        const auto name = std::to_string((i + worker) % 16);
        const auto folder = guest.lookup(t.root, name).as<fuse_entry_out>().nodeid;
        const auto file = guest.lookup(folder, "f").as<fuse_entry_out>().nodeid;
        const auto handle = guest.open(file, O_RDONLY).as<fuse_open_out>().fh;
        wrong += guest.read(handle, 0, 10).text() == name ? 0 : 1;
        guest.release(handle);
        guest.forget(file);
        guest.forget(folder);
      }
    });
  for (auto& one : threads)
    one.join();
  CHECK(wrong == 0);
  CHECK(t.shares.count().handles == 0);
}
