#include "tools/bench/stop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <poll.h>
#include <sys/signalfd.h>

namespace troupe::bench {
namespace {

/// Rounded up, so that a wait never ends before its deadline.
int milliseconds_until(time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - monotonic_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, INT_MAX));
}

} // namespace

outcome<stop_signal> stop_signal::install() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  unique_fd fd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!fd)
    return fail_errno("signalfd", errno);
  return stop_signal{std::move(fd)};
}

outcome<void> stop_signal::wait_for(int fd, time_point deadline) const {
  // The signal is never read, hence stays readable: that makes it sticky.
  std::array<pollfd, 2> watched{{{signals_.get(), POLLIN, 0}, {fd, POLLIN, 0}}};
  for (;;) {
    const int left = milliseconds_until(deadline);
    const int ready = ::poll(watched.data(), watched.size(), left);
    if (ready < 0 && errno != EINTR)
      return fail_errno("poll", errno);
    if (ready > 0 && watched[0].revents != 0)
      return fail(errc::cancelled, "interrupted");
    if (ready > 0)
      return {};
    if (ready == 0 && left == 0 && fd < 0)
      return {};
    if (ready == 0 && left == 0)
      return fail(errc::deadline_exceeded, "not in time");
  }
}

outcome<void> stop_signal::rest(milliseconds time) const {
  return wait_for(-1, monotonic_clock::now() + time);
}

} // namespace troupe::bench
