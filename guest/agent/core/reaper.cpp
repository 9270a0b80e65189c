#include "guest/agent/core/reaper.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <utility>

namespace troupe::guest {

std::int32_t exit_code(int wait_status) noexcept {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

reaper::reaper(asio::io_context& io) : signals_(io) {}

outcome<void> reaper::start() {
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  if (::sigprocmask(SIG_BLOCK, &children, nullptr) != 0)
    return fail_errno("reaper: block SIGCHLD", errno);
  unique_fd fd{::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!fd)
    return fail_errno("reaper: signalfd", errno);
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    return fail_errno("reaper: subreaper", errno);
  signals_.assign(fd.release());
  wait_for_signal();
  return {};
}

void reaper::wait_for_signal() {
  signals_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const asio::error_code& error) {
                        if (error)
                          return;
                        std::array<signalfd_siginfo, 16> batch{};
                        while (::read(signals_.native_handle(), batch.data(), sizeof batch) > 0) {
                        }
                        reap();
                        wait_for_signal();
                      });
}

/// One signal may stand for many exits.
void reaper::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
    const exit_info info{exit_code(status), std::chrono::system_clock::now()};
    const auto found = watched_.find(pid);
    if (found == watched_.end()) {
      if (launches_ > 0)
        unclaimed_[pid] = info;
      continue;
    }
    const auto tell = std::move(found->second);
    watched_.erase(found);
    tell(info);
  }
}

void reaper::watch(pid_t pid, handler tell) {
  const auto early = unclaimed_.extract(pid);
  if (early)
    tell(early.mapped());
  else
    watched_[pid] = std::move(tell);
}

void reaper::launch_ends() noexcept {
  if (--launches_ == 0)
    unclaimed_.clear();
}

} // namespace troupe::guest
