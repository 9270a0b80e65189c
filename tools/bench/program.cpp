#include "tools/bench/program.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <sys/mman.h>
#include <sys/wait.h>

namespace troupe::bench {
namespace {

/// The end of what a program said: a long table fits, a flood does not.
constexpr off_t most_said = 16 << 10;

double since_ms(time_point when) {
  return std::chrono::duration<double, std::milli>(monotonic_clock::now() - when).count();
}

} // namespace

std::string said(int file) {
  const off_t size = ::lseek(file, 0, SEEK_END);
  const off_t from = std::max<off_t>(size - most_said, 0);
  std::string text(static_cast<std::size_t>(std::max<off_t>(size - from, 0)), '\0');
  const auto n = ::pread(file, text.data(), text.size(), from);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

outcome<std::string> find_program(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"})
    if (::access((folder + name).c_str(), X_OK) == 0)
      return folder + name;
  return fail(errc::not_found, "{}: is not installed", name);
}

outcome<program> program::start(const std::vector<std::string>& argv, int output,
                                std::span<const int> inherited) {
  const auto began = monotonic_clock::now();
  return program{TRY(hypervisor::qemu::spawn(argv, output, inherited)), began};
}

program::~program() {
  if (!child_.pidfd)
    return;
  signal(SIGKILL);
  ::waitpid(child_.pid, nullptr, 0);
}

outcome<int> program::wait(const stop_signal& stop, time_point deadline) {
  TRY(stop.wait_for(pidfd(), deadline));
  int status = 0;
  if (::waitpid(child_.pid, &status, 0) < 0)
    return fail_errno("waitpid", errno);
  child_.pidfd.reset();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// It has not been reaped, so the group is its own.
void program::signal(int number) noexcept {
  if (child_.pidfd)
    ::kill(-child_.pid, number);
}

outcome<finished> run(const std::vector<std::string>& argv, const stop_signal& stop,
                      milliseconds patience) {
  const unique_fd output{::memfd_create("output", MFD_CLOEXEC)};
  if (!output)
    return fail_errno("memfd_create", errno);
  auto child = TRY(program::start(argv, output.get()));
  finished how;
  const auto status = child.wait(stop, child.began() + patience);
  how.took_ms = since_ms(child.began());
  if (!status)
    return within(fmt::format("{} [{}]", fmt::join(argv, " "), said(output.get())), status.error());
  how.status = *status;
  how.said = said(output.get());
  return how;
}

} // namespace troupe::bench
