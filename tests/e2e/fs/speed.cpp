// Everyday file work in a guest under QEMU, served by us and by another virtiofsd in turns, so that
// whatever else the machine does hits both. Prints a line per kind of work: the best of all rounds,
// in seconds, and ours / theirs.
//
// usage: fs_speed ROUNDS [VIRTIOFSD]
#include "actors/devices/virtio/fs/device.hpp"
#include "tests/support/must.hpp"
#include "tests/support/qemu_guest.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>

using namespace troupe;
using namespace troupe::testing;
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

void run(qemu_guest& guest, const std::string& words, timings& best) {
  guest.boot(TROUPE_INITRD, words);
  guest.run(180s, [&](const std::string& line) { note(line, best); });
  guest.end();
}

void round_of_ours(const fs::path& folder, timings& best) {
  auto shares = std::make_shared<fuse::session>();
  must(shares->add_share("c1/rootfs", unique_fd{::open(folder.c_str(), O_PATH | O_CLOEXEC)}, {}));
  const auto loop = must(devices::worker::start("fs-speed"));
  qemu_guest guest{1};
  guest.add(must(virtio::fs_device::make(shares, {.own_loop = true})), *loop);
  run(guest, "fs_suite=speed", best);
}

/// Another virtiofsd, while it lives.
class peer {
public:
  peer(const std::string& program, const fs::path& folder, const std::string& socket)
      : child_(must(
            hypervisor::qemu::spawn({program, "--rlimit-nofile=19000", "--socket-path=" + socket,
                                     "-o", "source=" + folder.string(), "-o", "cache=auto,xattr"},
                                    STDERR_FILENO, {}))) {
    for (int i = 0; i < 100 && !fs::exists(socket); ++i)
      std::this_thread::sleep_for(10ms);
    std::this_thread::sleep_for(100ms); // it binds before it listens
  }
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;
  ~peer() {
    ::kill(child_.pid, SIGTERM);
    ::waitpid(child_.pid, nullptr, 0);
  }

private:
  hypervisor::qemu::child child_;
};

void round_of_theirs(const fs::path& folder, const std::string& program, timings& best) {
  const troupe::test::scratch_folder sockets;
  const peer server{program, folder, sockets.file("fs")};
  qemu_guest guest{1};
  guest.add_file_system(sockets.file("fs"));
  run(guest, "fs_suite=flat-speed", best);
}

void compare(int rounds, const std::string& program) {
  const troupe::test::scratch_folder folder;
  make_files(folder.path());
  timings ours;
  timings theirs;
  for (int i = 0; i < rounds; ++i) {
    round_of_ours(folder.path(), ours);
    round_of_theirs(folder.path(), program, theirs);
  }
  for (const auto& [name, seconds] : ours)
    std::printf("%-8s ours %.3f s, virtiofsd %.3f s, ratio %.2f\n", name.c_str(), seconds,
                theirs[name], seconds / theirs[name]);
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 2)
    return std::fprintf(stderr, "usage: %s ROUNDS [VIRTIOFSD]\n", argv[0]), 2;
  return exit_code_of([&] {
    need_guests();
    compare(std::atoi(argv[1]), argc > 2 ? argv[2] : "/usr/lib/qemu/virtiofsd");
    return true;
  });
}
