#include "tests/e2e/fs/conformance.hpp"

#include "tests/e2e/fs/tree.hpp"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <system_error>

namespace troupe::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

void must(bool good, const std::string& what) {
  if (!good)
    throw std::system_error{errno, std::generic_category(), what};
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator{"/proc/self/fd"}, fs::directory_iterator{}));
}

void mount_tmpfs(const fs::path& where) {
  fs::create_directories(where);
  must(::mount("tmpfs", where.c_str(), "tmpfs", 0, nullptr) == 0, "mount tmpfs");
}

void make_big(const fs::path& folder, const conformance::scale& of) {
  for (std::size_t d = 0; d < of.folders; ++d) {
    const auto inner = folder / std::to_string(d);
    fs::create_directory(inner);
    for (std::size_t f = 0; f < of.files / of.folders; ++f)
      must(::mknod((inner / std::to_string(f)).c_str(), S_IFREG | 0644, 0) == 0, "mknod");
  }
}

} // namespace

conformance::conformance(const scale& of)
    : scale_(of),
      shares_(std::make_shared<fuse::session>(fuse::limits{
          .nodes = 1'000'000, .cached_descriptors = of.descriptor_budget, .handles = 64})) {
  must(::unshare(CLONE_NEWNS) == 0, "unshare mounts");
  must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");
  std::string pattern = fs::temp_directory_path() / "troupe-fs-e2e-XXXXXX";
  must(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  folder_ = pattern;
  make_folders();
  add_share("c1/rootfs", "rootfs", true, false);
  add_share("c2/rootfs", "removed", false, false);
  add_share("control", "control", true, false);
  add_share("ro", "ro", true, true);
  add_share("big", "big", true, false);
  watcher_ = std::thread{[this] { watch_descriptors(); }};
}

conformance::~conformance() {
  stop_ = true;
  watcher_.join();
  ::umount2((folder_ / "big").c_str(), MNT_DETACH);
  ::umount2((folder_ / "removed").c_str(), MNT_DETACH);
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void conformance::make_folders() {
  for (const auto* name : {"rootfs", "control", "ro"})
    fs::create_directory(folder_ / name);
  make_tree(folder_ / "rootfs" / "from-host");
  std::ofstream{folder_ / "ro" / "file"} << "read me";
  mount_tmpfs(folder_ / "removed");
  std::ofstream{folder_ / "removed" / "file"} << std::string(8192, 'r');
  std::ofstream{folder_ / "removed" / "other"} << "other";
  mount_tmpfs(folder_ / "big");
  make_big(folder_ / "big", scale_);
}

/// A clone would not keep the original from being unmounted; the plain descriptor would.
void conformance::add_share(const std::string& name, const std::string& folder, bool cloned,
                            bool read_only) {
  const auto path = (folder_ / folder).string();
  const sharefs::share_policy policy{.read_only = read_only};
  auto tree = cloned ? sharefs::clone_mount(-1, path, true, policy)
                     : outcome<unique_fd>{unique_fd{::open(path.c_str(), O_PATH | O_CLOEXEC)}};
  if (tree)
    tree = shares_->add_share(name, std::move(*tree), policy).map([] { return unique_fd{}; });
  if (!tree)
    throw std::runtime_error{tree.error().to_string()};
}

void conformance::check(bool good, const std::string& what) {
  std::printf("host: %s %s\n", good ? "ok" : "FAIL", what.c_str());
  failures_ += good ? 0 : 1;
}

void conformance::heard(const std::string& line) {
  std::printf("%s\n", line.c_str());
  if (!line.starts_with("fs-suite: "))
    return;
  const auto text = line.substr(10);
  if (text.starts_with("FAIL"))
    ++failures_;
  if (text.starts_with("digest from-host "))
    check_digest(text.substr(17), "from-host");
  if (text.starts_with("digest from-guest "))
    check_digest(text.substr(18), "from-guest");
  if (text.starts_with("found "))
    check(text == "found " + std::to_string(scale_.folders + scale_.files), "every file was found");
  if (text == "open")
    remove_share_in_use();
  done_ = done_ || text.starts_with("done ");
}

/// The guest says what it sees of a tree; the host looks itself.
void conformance::check_digest(const std::string& line, const std::string& tree) {
  const auto seen = digest_tree(folder_ / "rootfs" / tree);
  check(line == std::to_string(seen.hash) + " " + std::to_string(seen.entries),
        "tree " + tree + " is the same for guest and host, " + std::to_string(seen.entries) +
            " entries");
}

void conformance::remove_share_in_use() {
  const auto start = std::chrono::steady_clock::now();
  const auto removed = shares_->remove_share("c2/rootfs", 1s);
  check(removed.has_value(), "the share is removed while the guest has files open");
  check(::umount2((folder_ / "removed").c_str(), 0) == 0, "its host tree is unmounted at once");
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  std::printf("host: removal and unmount took %.2f ms\n", taken.count());
  std::ofstream{folder_ / "control" / "removed"}.flush();
}

void conformance::watch_descriptors() {
  while (!stop_) {
    most_descriptors_ = std::max(most_descriptors_.load(), open_descriptors());
    std::this_thread::sleep_for(20ms);
  }
}

bool conformance::judge() {
  constexpr std::size_t others = 100; // 64 handles of the guest, shares, console, sockets
  const auto most = most_descriptors_.load();
  const auto budget = scale_.descriptor_budget;
  check(done_, "the guest came to its end");
  check(fs::exists(folder_ / "rootfs" / "after"), "the other share went on");
  check(most > budget / 2 && most <= budget + others,
        "descriptors kept to the budget, at most " + std::to_string(most) + " were open");
  std::printf("%d failures\n", failures_);
  return failures_ == 0;
}

} // namespace troupe::testing
