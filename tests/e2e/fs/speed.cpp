// Everyday file work in a guest under QEMU, served by us and by another virtiofsd in turns, so that
// whatever else the machine does hits both. Prints a line per kind of work: the best of all rounds,
// in seconds, and ours / theirs.
//
// usage: fs_speed KERNEL ROUNDS [VIRTIOFSD]
#include "actors/devices/unix_socket.hpp"
#include "actors/devices/vhost_user/session.hpp"
#include "actors/devices/virtio/fs/device.hpp"
#include "tests/e2e/fs/qemu_guest.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>

using namespace troupe;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr int empty_files = 10'000;
constexpr int small_files = 2'000;

using timings = std::map<std::string, double>;

void make_files(const fs::path& folder) {
  fs::create_directories(folder / "small");
  for (int i = 0; i < empty_files; ++i) {
    const auto inner = folder / "empty" / std::to_string(i / 100);
    fs::create_directories(inner);
    std::ofstream{inner / std::to_string(i)}.flush();
  }
  for (int i = 0; i < small_files; ++i)
    std::ofstream{folder / "small" / std::to_string(i)} << std::string(3000, 's');
}

/// "fs-suite: time NAME SECONDS"
void note(const std::string& line, timings& best) {
  std::istringstream words{line};
  std::string suite;
  std::string kind;
  std::string name;
  double seconds = 0;
  if (!(words >> suite >> kind >> name >> seconds) || kind != "time") {
    if (kind == "FAIL")
      std::printf("%s\n", line.c_str());
    return;
  }
  const auto known = best.try_emplace(name, seconds).first;
  known->second = std::min(known->second, seconds);
}

outcome<void> round_of_ours(const fs::path& folder, const std::string& kernel, timings& best) {
  const auto socket = folder.string() + ".sock";
  auto shares = std::make_shared<fuse::session>();
  TRY(shares->add_share("c1/rootfs", unique_fd{::open(folder.c_str(), O_PATH | O_CLOEXEC)}, {}));
  const auto loop = TRY(devices::worker::start("fs-speed"));
  const auto served = TRY(
      vhost_user::session::start(TRY(devices::listen_unix(socket, 1)),
                                 TRY(virtio::fs_device::make(shares, {.own_loop = true})), *loop,
                                 [](vhost_user::session_event, const std::optional<failure>&) {}));
  auto ran = testing::run_guest({kernel, TROUPE_FS_INITRD, "fs_suite=speed", socket}, 180s,
                                [&](const std::string& line) { note(line, best); });
  TRY(served->stop(5s));
  ::unlink(socket.c_str());
  return ran;
}

outcome<void> round_of_theirs(const fs::path& folder, const std::string& kernel,
                              const std::string& daemon, timings& best) {
  const auto socket = folder.string() + ".peer";
  std::array<std::string, 7> words{
      daemon, "--rlimit-nofile=19000", "--socket-path=" + socket, "-o", "source=" + folder.string(),
      "-o",   "cache=auto,xattr"};
  std::array<char*, 8> arguments{};
  std::ranges::transform(words, arguments.begin(), [](auto& word) { return word.data(); });
  pid_t child = 0;
  if (const int error =
          ::posix_spawn(&child, arguments[0], nullptr, nullptr, arguments.data(), environ))
    return failed{fail_errno("start " + daemon, error)};
  for (int i = 0; i < 100 && !fs::exists(socket); ++i)
    std::this_thread::sleep_for(10ms);
  std::this_thread::sleep_for(100ms); // it binds before it listens
  auto ran = testing::run_guest({kernel, TROUPE_FS_INITRD, "fs_suite=flat-speed", socket}, 180s,
                                [&](const std::string& line) { note(line, best); });
  ::kill(child, SIGTERM);
  ::waitpid(child, nullptr, 0);
  ::unlink(socket.c_str());
  return ran;
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 3)
    return std::fprintf(stderr, "usage: %s KERNEL ROUNDS [VIRTIOFSD]\n", argv[0]), 2;
  const std::string daemon = argc > 3 ? argv[3] : "/usr/lib/qemu/virtiofsd";
  std::string pattern = fs::temp_directory_path() / "troupe-fs-speed-XXXXXX";
  const fs::path folder = ::mkdtemp(pattern.data());
  make_files(folder);
  timings ours;
  timings theirs;
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    for (const auto& ran :
         {round_of_ours(folder, argv[1], ours), round_of_theirs(folder, argv[1], daemon, theirs)})
      if (!ran)
        std::printf("FAIL %s\n", ran.error().to_string().c_str());
  }
  for (const auto& [name, seconds] : ours)
    std::printf("%-8s ours %.3f s, virtiofsd %.3f s, ratio %.2f\n", name.c_str(), seconds,
                theirs[name], seconds / theirs[name]);
  fs::remove_all(folder);
}
