#include "tests/support/qemu_process.hpp"

#include "tests/support/must.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace troupe::testing {
namespace {

/// Whatever ends a test ends its machine.
constexpr std::array start{
    "/usr/bin/setpriv", "--pdeathsig", "KILL", qemu_binary, "-nodefaults", "-no-user-config",
    "-no-reboot",       "-display",    "none", "-serial",   "stdio"};

} // namespace

qemu_process::qemu_process(std::vector<std::string> words) {
  words.insert(words.begin(), start.begin(), start.end());
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw std::runtime_error("pipe");
  console_.reset(ends[0]);
  const unique_fd output{ends[1]};
  child_ = must(hypervisor::qemu::spawn(words, output.get(), {}));
}

qemu_process::~qemu_process() {
  if (wait(milliseconds{0}))
    return;
  ::kill(child_.pid, SIGKILL);
  ::waitpid(child_.pid, nullptr, 0);
}

std::optional<std::string> qemu_process::next_line(time_point until) {
  for (auto end = text_.find('\n'); end == text_.npos; end = text_.find('\n')) {
    const auto left = std::chrono::ceil<milliseconds>(until - monotonic_clock::now());
    pollfd ready{console_.get(), POLLIN, 0};
    std::array<char, 4096> buffer{};
    if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) != 1)
      return std::nullopt;
    const auto got = ::read(console_.get(), buffer.data(), buffer.size());
    if (got <= 0)
      return std::nullopt;
    text_.append(buffer.data(), static_cast<std::size_t>(got));
  }
  auto line = text_.substr(0, text_.find('\n'));
  text_.erase(0, line.size() + 1);
  std::erase(line, '\r');
  return line;
}

std::optional<int> qemu_process::wait(milliseconds limit) {
  pollfd ended{child_.pidfd.get(), POLLIN, 0};
  if (!status_ && ::poll(&ended, 1, static_cast<int>(limit.count())) == 1) {
    siginfo_t how{};
    ::waitid(P_PIDFD, static_cast<id_t>(child_.pidfd.get()), &how, WEXITED);
    status_ = how.si_code == CLD_EXITED ? how.si_status : -1;
  }
  return status_;
}

} // namespace troupe::testing
