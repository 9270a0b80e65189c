#include "guest/agent/core/process.hpp"

#include "messages/vocabulary/log.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <utility>

namespace troupe::guest {

process::process(asio::io_context& io, std::string name, bool terminal)
    : io_(io), name_(std::move(name)), terminal_(terminal), sync_(io), deadline_(io) {}

void process::adopt(reaper& from, launched child, milliseconds deadline, done ready) {
  pid_ = child.pid;
  pidfd_ = std::move(child.pidfd);
  pending_ = std::move(ready);
  sync_.assign(child.sync.release());
  if (child.input) {
    input_ = std::make_shared<input_stream>(io_, std::move(child.input), false);
    output_ = std::make_shared<output_stream>(io_, std::move(child.output));
    error_ = std::make_shared<output_stream>(io_, std::move(child.error));
  }
  arm(deadline, "set up");
  listen();
  from.watch(pid_, [self = shared_from_this()](const exit_info& info) { self->on_exit(info); });
}

void process::listen() {
  sync_.async_wait(asio::posix::stream_descriptor::wait_read,
                   [self = shared_from_this()](const asio::error_code& error) {
                     if (!error)
                       self->on_message(receive_from_child(self->sync_.native_handle()));
                   });
}

void process::on_message(sync_message message) {
  switch (message.event) {
  case sync_event::nothing:
    return listen();
  case sync_event::ready:
    if (phase_ != process_phase::setting_up)
      break;
    phase_ = process_phase::parked;
    if (terminal_)
      take_terminal(std::move(message.terminal));
    settle({});
    return listen();
  case sync_event::failed:
    return give_up(std::move(message.why));
  case sync_event::closed:
    break;
  }
  asio::error_code ignored;
  sync_.close(ignored);
  if (phase_ == process_phase::starting) {
    phase_ = process_phase::running;
    settle({});
  } else if (phase_ != process_phase::running)
    give_up({errc::host_io, "start process: it died while it was set up", 0});
}

void process::go(milliseconds deadline, done answer) {
  if (phase_ != process_phase::parked)
    return answer(
        fail(errc::failed_precondition, "process {}: is not waiting to be started", name_));
  if (auto sent = send_go(sync_.native_handle()); !sent)
    return answer(std::move(sent));
  phase_ = process_phase::starting;
  pending_ = std::move(answer);
  arm(deadline, "exec");
}

/// Kills it; whoever waits is told when it is reaped, so that its cgroup is empty by then.
void process::give_up(failure why) {
  if (!doomed_)
    doomed_ = std::move(why);
  (void)signal(SIGKILL);
}

void process::settle(outcome<void> result) {
  deadline_.cancel();
  if (auto tell = std::exchange(pending_, nullptr))
    tell(std::move(result));
}

void process::arm(milliseconds deadline, std::string_view stage) {
  deadline_.expires_after(deadline);
  deadline_.async_wait([self = shared_from_this(), deadline,
                        stage = std::string{stage}](const asio::error_code& error) {
    if (!error && self->pending_)
      self->give_up(
          {errc::deadline_exceeded,
           fmt::format("start process: {}: not done within {} ms", stage, deadline.count()), 0});
  });
}

void process::on_exit(const exit_info& info) {
  log::debug(name_, "pid {} exited with {}", pid_, info.status);
  // Its last words may still be unread: an exec that failed reports and exits at once.
  while (sync_.is_open() && !doomed_) {
    auto message = receive_from_child(sync_.native_handle());
    if (message.event == sync_event::failed)
      doomed_ = std::move(message.why);
    else if (message.event != sync_event::ready)
      break;
  }
  const bool ran = phase_ == process_phase::running || phase_ == process_phase::starting;
  phase_ = process_phase::exited;
  exit_ = info;
  asio::error_code ignored;
  sync_.close(ignored);
  if (doomed_)
    settle(tl::unexpected(*doomed_));
  else
    settle(ran ? outcome<void>{}
               : fail(errc::host_io, "start process: it died while it was set up"));
  for (const auto& stream : {output_, error_})
    if (stream)
      stream->process_exited();
  for (auto& tell : std::exchange(waiters_, {}))
    tell(info);
}

void process::wait(exit_answer answer) {
  if (exit_)
    return answer(*exit_);
  if (waiters_.size() >= max_waiters)
    return answer(fail(errc::resource_exhausted, "process {}: {} calls wait already", name_,
                       waiters_.size()));
  waiters_.push_back(std::move(answer));
}

outcome<void> process::signal(int number) {
  if (exit_)
    return {};
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) != 0 && errno != ESRCH)
    return fail_errno(fmt::format("process {}: signal {}", name_, number), errno);
  return {};
}

outcome<void> process::resize(std::uint16_t rows, std::uint16_t columns) {
  if (!master_)
    return fail(errc::failed_precondition, "process {}: has no terminal", name_);
  const winsize size{rows, columns, 0, 0};
  if (::ioctl(master_.get(), TIOCSWINSZ, &size) != 0)
    return fail_errno(fmt::format("process {}: resize", name_), errno);
  return {};
}

/// Three descriptors of one terminal: each stream owns its own, and resizing must work after both
/// are closed.
void process::take_terminal(unique_fd master) {
  const auto copy = [&master] { return unique_fd{::fcntl(master.get(), F_DUPFD_CLOEXEC, 0)}; };
  input_ = std::make_shared<input_stream>(io_, copy(), true);
  output_ = std::make_shared<output_stream>(io_, copy());
  master_ = std::move(master);
}

void process::close_streams() {
  if (input_)
    input_->close();
  for (const auto& stream : {output_, error_})
    if (stream)
      stream->close();
}

} // namespace troupe::guest
