#include "actors/container/rootfs/rootfs.hpp"
#include "actors/container/rootfs/disk.hpp"
#include "actors/container/rootfs/overlay.hpp"
#include "tests/support/skip.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

using namespace troupe;
using rootfs::clone_root;
using rootfs::mount_root;
using rootfs::overlay_route;

namespace {

std::string read_all(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// A scratch tree on a tmpfs that is attached nowhere: what a test leaves goes with its descriptor.
/// Checks that the test changed no mount of this process.
class scratch {
public:
  scratch() {
    testing::need(::geteuid() == 0, "root");
    mounts_ = read_all("/proc/self/mountinfo");
    auto made = mount_root({{"tmpfs", "tmpfs", {"size=64m"}}});
    REQUIRE(made.has_value());
    tree_ = std::move(made->root);
  }
  ~scratch() { CHECK(read_all("/proc/self/mountinfo") == mounts_); }

  [[nodiscard]] std::string path(const std::string& name) const {
    return fmt::format("/proc/{}/fd/{}/{}", ::getpid(), tree_.get(), name);
  }
  std::string folder(const std::string& name) const {
    std::filesystem::create_directories(path(name));
    return path(name);
  }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
  }

private:
  std::string mounts_;
  unique_fd tree_;
};

std::string read_at(const unique_fd& root, const char* name) {
  const unique_fd file(::openat(root.get(), name, O_RDONLY | O_CLOEXEC));
  std::array<char, 256> text{};
  const auto got = file ? ::read(file.get(), text.data(), text.size()) : -1;
  return got < 0 ? "?" : std::string(text.data(), static_cast<std::size_t>(got));
}

/// errno of creating a file, 0 when it was made.
int create_at(const unique_fd& root, const char* name) {
  const unique_fd file(::openat(root.get(), name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  return file ? 0 : errno;
}

} // namespace

TEST_CASE("rootfs: an overlay shows its layers, the topmost file wins, writes reach the upper") {
  const scratch tmp;
  tmp.write("1/low", "one");
  tmp.write("1/both", "one");
  tmp.write("2/both", "two");
  tmp.folder("up");
  tmp.folder("work");
  const auto root =
      mount_root({{"overlay",
                   "overlay",
                   {"index=off", "workdir=" + tmp.path("work"), "upperdir=" + tmp.path("up"),
                    "lowerdir=" + tmp.path("2") + ":" + tmp.path("1")}}});
  REQUIRE(root.has_value());
  CHECK_FALSE(root->read_only);
  CHECK(read_at(root->root, "low") == "one");
  CHECK(read_at(root->root, "both") == "two");
  CHECK(create_at(root->root, "new") == 0);
  CHECK(std::filesystem::exists(tmp.path("up/new")));
}

TEST_CASE("rootfs: an overlay without an upper layer is read-only and says so") {
  const scratch tmp;
  tmp.write("1/a", "one");
  tmp.folder("2");
  const auto root =
      mount_root({{"overlay", "overlay", {"lowerdir=" + tmp.path("2") + ":" + tmp.path("1")}}});
  REQUIRE(root.has_value());
  CHECK(root->read_only);
  CHECK(create_at(root->root, "new") == EROFS);
}

TEST_CASE("rootfs: as many layers as overlayfs takes, with long names, mount by either route") {
  const scratch tmp;
  const auto route = GENERATE(overlay_route::by_context, overlay_route::by_mount);
  const std::string padding(80, 'x');
  std::vector<std::string> lower;
  for (std::size_t i = 0; i < rootfs::max_layers; ++i) {
    const auto name = fmt::format("{}/{}", padding, i);
    tmp.write(name + fmt::format("/file{}", i), "here");
    tmp.write(name + "/top", std::to_string(i));
    lower.push_back(tmp.path(name));
  }
  rootfs::mount_options options;
  options.kind = rootfs::mount_kind::overlay;
  options.lower = lower;
  options.upper = tmp.folder("up");
  options.work = tmp.folder("work");
  options.data = {{"index", "off"}};
  options.set = 2; // MOUNT_ATTR_NOSUID
  const auto root = rootfs::mount_overlay("rootfs[0]", options, route);
  REQUIRE(root.has_value());
  CHECK(read_at(*root, "top") == "0");
  CHECK(read_at(*root, "file499") == "here");
  CHECK(create_at(*root, "new") == 0);
}

TEST_CASE("rootfs: an option that the kernel refuses, the error names it") {
  const scratch tmp;
  tmp.folder("1");
  const auto root =
      mount_root({{"overlay", "overlay", {"lowerdir=" + tmp.path("1"), "no-such-option=7"}}});
  REQUIRE_FALSE(root.has_value());
  CHECK(root.error().code == errc::invalid_argument);
  CHECK(root.error().text.find("rootfs[0]: overlay: option no-such-option=7") == 0);
}

TEST_CASE("rootfs: a missing layer, the error names its place and path") {
  const scratch tmp;
  tmp.folder("1");
  const auto gone = tmp.path("gone");
  const auto root =
      mount_root({{"overlay", "overlay", {"lowerdir=" + tmp.path("1") + ":" + gone}}});
  REQUIRE_FALSE(root.has_value());
  CHECK(root.error().code == errc::invalid_argument);
  CHECK(root.error().text.find("rootfs[0]: lowerdir[1] " + gone) == 0);
}

TEST_CASE("rootfs: a read-only bind refuses writes while its source takes them") {
  const scratch tmp;
  tmp.write("src/a", "one");
  const auto root = mount_root({{"bind", tmp.path("src"), {"rbind", "ro"}}});
  REQUIRE(root.has_value());
  CHECK(root->read_only);
  CHECK(create_at(root->root, "new") == EROFS);
  tmp.write("src/b", "two");
  CHECK(read_at(root->root, "b") == "two");
}

TEST_CASE("rootfs: rbind takes the mounts below along, read-only with the rest; bind does not") {
  const scratch tmp;
  auto folder = (std::filesystem::temp_directory_path() / "troupe-rbind-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  outcome<rootfs::mounted_root> shallow, deep;
  // In a mount namespace of the thread's own, so that nothing is left of it.
  std::thread([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, nullptr) != 0 ||
        ::mkdir((folder + "/below").c_str(), 0755) != 0 ||
        ::mount("tmpfs", (folder + "/below").c_str(), "tmpfs", 0, nullptr) != 0)
      return;
    std::ofstream(folder + "/below/file") << "deep";
    shallow = mount_root({{"bind", folder, {"bind"}}});
    deep = mount_root({{"bind", folder, {"rbind", "ro"}}});
  }).join();
  std::filesystem::remove(folder);
  REQUIRE(shallow.has_value());
  REQUIRE(deep.has_value());
  CHECK(read_at(shallow->root, "below/file") == "?");
  CHECK(read_at(deep->root, "below/file") == "deep");
  CHECK(create_at(deep->root, "below/new") == EROFS);
}

TEST_CASE("rootfs: a directory clone for a bundle without mounts, writable or not as asked") {
  const scratch tmp;
  tmp.write("src/a", "one");
  const unique_fd source(::open(tmp.path("src").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto writable = clone_root(source.get(), false);
  REQUIRE(writable.has_value());
  CHECK_FALSE(writable->read_only);
  CHECK(create_at(writable->root, "new") == 0);
  const auto protected_root = clone_root(source.get(), true);
  REQUIRE(protected_root.has_value());
  CHECK(protected_root->read_only);
  CHECK(create_at(protected_root->root, "new2") == EROFS);
}

TEST_CASE("rootfs: several mounts lie upon each other, a bad one among them fails all") {
  const scratch tmp;
  tmp.write("1/a", "one");
  tmp.write("2/a", "two");
  const auto root = mount_root({{"bind", tmp.path("1"), {"bind"}}, {"bind", tmp.path("2"), {}}});
  REQUIRE(root.has_value());
  CHECK(read_at(root->root, "a") == "two");
  const auto bad = mount_root({{"bind", tmp.path("gone"), {}}, {"bind", tmp.path("2"), {}}});
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().text.find("rootfs[0]: source") == 0);
}

TEST_CASE("rootfs: a directory is not taken for a block device, nor a file for a directory") {
  const scratch tmp;
  tmp.write("file", "text");
  const auto disk = mount_root({{"ext4", tmp.folder("dir"), {}}});
  REQUIRE_FALSE(disk.has_value());
  CHECK(disk.error().code == errc::invalid_argument);
  CHECK(disk.error().text.ends_with("is no block device"));
  const auto file = mount_root({{"bind", tmp.path("file"), {}}});
  REQUIRE_FALSE(file.has_value());
  CHECK(file.error().text == "rootfs[0]: its root is no directory");
  const auto image = mount_root({{"ext4", tmp.path("file"), {}}});
  REQUIRE_FALSE(image.has_value());
  CHECK(image.error().text.ends_with("is a file; option loop is missing"));
}

TEST_CASE("rootfs: an ext4 image is looped, and the loop device goes with the mount") {
  const scratch tmp;
  const auto image = tmp.path("disk.img");
  std::ofstream(image).close();
  REQUIRE(::truncate(image.c_str(), 8 << 20) == 0);
  REQUIRE(std::system(fmt::format("mkfs.ext4 -q {} >&2", image).c_str()) == 0);
  std::string device;
  {
    const auto root = mount_root({{"ext4", image, {"loop"}}});
    REQUIRE(root.has_value());
    CHECK(create_at(root->root, "new") == 0);
    struct stat about {};
    REQUIRE(::fstat(root->root.get(), &about) == 0);
    device =
        std::filesystem::read_symlink(
            fmt::format("/sys/dev/block/{}:{}", about.st_dev >> 8 & 0xfff, about.st_dev & 0xff))
            .filename();
    // A device that the host has mounted is nobody's root file system.
    const auto stolen = mount_root({{"ext4", "/dev/" + device, {}}});
    REQUIRE_FALSE(stolen.has_value());
    CHECK(stolen.error().text == "rootfs[0]: source /dev/" + device + " is in use on the host");
  }
  CHECK_FALSE(std::filesystem::exists("/sys/block/" + device + "/loop/backing_file"));
}

TEST_CASE("rootfs: no mounts at all or too many are refused") {
  CHECK(mount_root({}).error().text == "rootfs: 0 mounts are not in 1 ... 16");
  const std::vector<rootfs_mount> many(rootfs::max_mounts + 1, {"bind", "/", {}});
  CHECK(mount_root(many).error().code == errc::invalid_argument);
}
