#include "tools/ctl/signals.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace troupe::ctl {
namespace {

sigset_t taken_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH})
    sigaddset(&set, number);
  return set;
}

} // namespace

void block_signals() {
  const auto set = taken_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

outcome<std::unique_ptr<signal_watch>> signal_watch::start(std::function<void(int)> taken) {
  std::unique_ptr<signal_watch> out{new signal_watch};
  const auto set = taken_signals();
  out->taken_ = std::move(taken);
  out->signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  out->stop_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!out->signals_ || !out->stop_)
    return fail_errno("signalfd", errno);
  out->thread_ = std::thread{[watch = out.get()] { watch->loop(); }};
  return out;
}

signal_watch::~signal_watch() {
  if (stop_)
    ::eventfd_write(stop_.get(), 1);
  if (thread_.joinable())
    thread_.join();
}

void signal_watch::loop() {
  std::array<pollfd, 2> ready{pollfd{signals_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
  for (;;) {
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR)
      return;
    if (ready[1].revents != 0)
      return;
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info)
      taken_(static_cast<int>(info.ssi_signo));
  }
}

} // namespace troupe::ctl
