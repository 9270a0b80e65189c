// The guest's side of the virtio-fs conformance suite: pid 1 of a small machine, which uses the
// share as programs do and says on the console what was not as POSIX or Linux promise. Knows
// nothing of the transport. What to do comes by the kernel's command line:
// fs_suite=posix|tree|find|stale|speed.
#include "tests/e2e/fs/guest_files.hpp"
#include "tests/e2e/fs/posix_cases.hpp"
#include "tests/e2e/fs/tree.hpp"
#include "tests/support/guest_report.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace troupe::testing;

namespace {

guest_report suite{"fs-suite"};

void say_digest(const std::string& name, const std::string& folder) {
  const auto digest = digest_tree(folder);
  suite.say("digest " + name + " " + std::to_string(digest.hash) + " " +
            std::to_string(digest.entries));
}

std::size_t count_below(const std::string& folder) {
  std::size_t found = 0;
  auto* const dir = ::opendir(folder.c_str());
  EXPECT(dir != nullptr);
  while (const auto* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..")
      continue;
    ++found;
    if (entry->d_type == DT_DIR)
      found += count_below(folder + "/" + name);
    else
      EXPECT(status_of(folder + "/" + name).st_size == 0);
  }
  ::closedir(dir);
  return found;
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Waits until the host has put a file of that name.
void wait_for(const std::string& name) {
  for (int i = 0; i < 600; ++i) {
    if (::access((control + name).c_str(), F_OK) == 0)
      return;
    ::usleep(50'000);
  }
  throw std::runtime_error{"the host never said " + name};
}

/// A share is taken away while files of it are open.
void stale() {
  const std::string folder = "/mnt/c2/rootfs/";
  const int file = open_file(folder + "file", O_RDWR);
  const int dir = open_file(folder, O_RDONLY | O_DIRECTORY);
  suite.say("open");
  wait_for("removed");
  std::array<char, 8> got{};
  EXPECT_ERROR(::pread(file, got.data(), got.size(), 4096), ESTALE);
  EXPECT_ERROR(::pwrite(file, "x", 1, 0), ESTALE);
  EXPECT_ERROR(::openat(dir, "other", O_RDONLY), ESTALE);
  EXPECT_ERROR(::fsync(file), ESTALE);
  ::close(file);
  ::close(dir);
  ::usleep(1'200'000); // names may be believed for a second
  EXPECT_ERROR(::access("/mnt/c2/rootfs", F_OK), ENOENT);
  put(share + "after", "the neighbour goes on");
}

void drop_caches() {
  ::sync();
  const int fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
  if (fd >= 0 && ::write(fd, "3", 1) != 1)
    suite.say("caches were not dropped");
  ::close(fd);
}

/// Times of everyday work; `folder` holds "small" (5,000 files) and room for one large file.
void speed(const std::string& folder) {
  const auto measure = [](const char* name, const std::function<void()>& work) {
    suite.say(std::string{"time "} + name + " " + std::to_string(seconds_of(work)));
  };
  drop_caches();
  measure("find", [&] { count_below(folder + "/empty"); });
  drop_caches();
  measure("cat", [&] {
    for (int i = 0; i < 2000; ++i)
      get(folder + "/small/" + std::to_string(i));
  });
  const std::string block(1 << 20, 'b');
  measure("write", [&] {
    const int fd = open_file(folder + "/large", O_WRONLY | O_CREAT | O_TRUNC);
    for (int i = 0; i < 64; ++i)
      EXPECT(::write(fd, block.data(), block.size()) == 1 << 20);
    EXPECT(::fsync(fd) == 0);
    ::close(fd);
  });
  drop_caches();
  measure("read", [&] {
    const int fd = open_file(folder + "/large", O_RDONLY);
    std::string got(1 << 20, '\0');
    while (::read(fd, got.data(), got.size()) > 0) {
    }
    ::close(fd);
  });
  measure("create", [&] {
    EXPECT(::mkdir((folder + "/made").c_str(), 0755) == 0);
    for (int i = 0; i < 500; ++i)
      ::close(open_file(folder + "/made/" + std::to_string(i), O_WRONLY | O_CREAT));
  });
  measure("remove", [&] {
    for (int i = 0; i < 500; ++i)
      EXPECT(::unlink((folder + "/made/" + std::to_string(i)).c_str()) == 0);
    EXPECT(::rmdir((folder + "/made").c_str()) == 0);
  });
}

void run_suite(const std::string& what) {
  if (what == "posix")
    for (const auto& [name, run] : posix_cases())
      suite.run_case(name, run);
  if (what == "tree")
    suite.run_case("tree", [] {
      say_digest("from-host", share + "from-host");
      make_tree(share + "from-guest");
      say_digest("from-guest", share + "from-guest");
    });
  if (what == "find")
    suite.run_case("find", [] { suite.say("found " + std::to_string(count_below("/mnt/big"))); });
  if (what == "stale")
    suite.run_case("stale", stale);
  if (what == "speed")
    suite.run_case("speed", [] { speed("/mnt/c1/rootfs"); });
  if (what == "flat-speed") // a server without our virtual root
    suite.run_case("speed", [] { speed("/mnt"); });
}

} // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string{argv[1]} == "exit-42")
    return 42;
  ::mkdir("/proc", 0755);
  ::mount("proc", "/proc", "proc", 0, nullptr);
  ::mkdir("/mnt", 0755);
  if (::mount("kataShared", "/mnt", "virtiofs", 0, nullptr) != 0)
    suite.say(std::string{"FAIL mount: "} + std::strerror(errno));
  const char* const suites = std::getenv("fs_suite");
  std::string rest = suites ? suites : "posix";
  while (!rest.empty()) {
    const auto end = std::min(rest.find(','), rest.size());
    run_suite(rest.substr(0, end));
    rest.erase(0, end + 1);
  }
  suite.finish();
}
