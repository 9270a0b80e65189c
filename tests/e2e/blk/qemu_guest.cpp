#include "tests/e2e/blk/qemu_guest.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <vector>

namespace troupe::testing {
namespace {

/// Spares the guest the calibration of its clock, the longest step of an emulated boot.
std::string clock_hint() {
  std::ifstream info{"/proc/cpuinfo"};
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("cpu MHz"))
      return std::to_string(static_cast<long>(std::stod(line.substr(line.find(':') + 1)) * 1000));
  return "1000000";
}

std::vector<std::string> words_of(const blk_guest& guest) {
  std::vector<std::string> words{"qemu-system-x86_64",
                                 "-nodefaults",
                                 "-no-user-config",
                                 "-no-reboot",
                                 "-display",
                                 "none",
                                 "-accel",
                                 "tcg",
                                 "-cpu",
                                 "max",
                                 "-m",
                                 "256M",
                                 "-smp",
                                 "2",
                                 "-M",
                                 "q35,memory-backend=m0",
                                 "-object",
                                 "memory-backend-memfd,id=m0,size=256M,share=on",
                                 "-serial",
                                 "stdio",
                                 "-kernel",
                                 guest.kernel,
                                 "-initrd",
                                 guest.initrd};
  for (std::size_t i = 0; i < guest.devices.size(); ++i) {
    const auto id = "c" + std::to_string(i);
    words.insert(words.end(), {"-chardev", "socket,id=" + id + ",path=" + guest.devices[i].socket,
                               "-device", guest.devices[i].words + ",chardev=" + id});
  }
  words.insert(words.end(), {"-append", "console=ttyS0 quiet panic=-1 cryptomgr.notests "
                                        "mitigations=off tsc_early_khz=" +
                                            clock_hint()});
  return words;
}

outcome<pid_t> start(const blk_guest& guest, int output) {
  auto words = words_of(guest);
  std::vector<char*> arguments;
  for (auto& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return failed{fail_errno("start qemu-system-x86_64", error)};
  return child;
}

/// Hands complete lines out of `text` on, without their carriage returns.
void hand_on(std::string& text, const std::function<void(const std::string&)>& heard) {
  for (auto end = text.find('\n'); end != text.npos; end = text.find('\n')) {
    auto line = text.substr(0, end);
    std::erase(line, '\r');
    text.erase(0, end + 1);
    heard(line);
  }
}

outcome<void> listen_to(int console, time_point until,
                        const std::function<void(const std::string&)>& heard) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (monotonic_clock::now() < until) {
    pollfd ready{console, POLLIN, 0};
    if (::poll(&ready, 1, 100) <= 0)
      continue;
    const auto got = ::read(console, buffer.data(), buffer.size());
    if (got <= 0)
      return {};
    text.append(buffer.data(), static_cast<std::size_t>(got));
    hand_on(text, heard);
  }
  return fail(errc::deadline_exceeded, "guest: not at its end in time");
}

} // namespace

outcome<void> run_guest(const blk_guest& guest, milliseconds limit,
                        const std::function<void(const std::string&)>& heard) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return failed{fail_errno("pipe", errno)};
  const unique_fd console{ends[0]};
  unique_fd output{ends[1]};
  const auto child = TRY(start(guest, output.get()));
  output.reset();
  auto listened = listen_to(console.get(), monotonic_clock::now() + limit, heard);
  if (!listened)
    ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (listened && status != 0)
    return fail(errc::host_io, "qemu-system-x86_64 ended with status {}", status);
  return listened;
}

} // namespace troupe::testing
