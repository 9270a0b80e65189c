#include "actors/vcpu/run/kick_signal.hpp"

#include <cerrno>
#include <csignal>
#include <mutex>
#include <unistd.h>

namespace troupe::vcpu {
namespace {

void do_nothing(int) {}

outcome<void> install() {
  struct sigaction now {};
  if (::sigaction(kick_signal(), nullptr, &now) != 0)
    return fail_errno("look at the kick signal", errno);
  const bool ours = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == do_nothing;
  const bool unused =
      (now.sa_flags & SA_SIGINFO) == 0 && (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN);
  if (ours)
    return {};
  if (!unused)
    return fail(errc::failed_precondition, "signal {}: the program handles it already",
                kick_signal());
  // SA_RESTART is for the system calls of handlers on a processor's thread, which a late kick may
  // hit; KVM_RUN answers EINTR in any case.
  struct sigaction action {};
  action.sa_handler = do_nothing;
  action.sa_flags = SA_RESTART;
  if (::sigaction(kick_signal(), &action, nullptr) != 0)
    return fail_errno("handle the kick signal", errno);
  return {};
}

} // namespace

int kick_signal() noexcept {
  return SIGRTMIN;
}

outcome<void> prepare_kick_signal() {
  static std::mutex mutex;
  const std::lock_guard lock{mutex};
  return install();
}

void allow_only_kick_signal() noexcept {
  sigset_t blocked;
  sigfillset(&blocked);
  sigdelset(&blocked, kick_signal());
  ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
}

void kick(pid_t thread) noexcept {
  ::tgkill(::getpid(), thread, kick_signal());
}

} // namespace troupe::vcpu
