#include "actors/container/io/input_pump.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace troupe::stdio {

outcome<void> input_pump::attach(input_end end) {
  if (!end.fd)
    return {};
  asio::error_code error;
  fifo_.assign(end.fd.get(), error);
  if (error)
    return fail_errno("stdin: watch the fifo", error.value());
  static_cast<void>(end.fd.release());
  keeper_ = std::move(end.keeper);
  return {};
}

void input_pump::run(std::shared_ptr<stream_source> source) {
  if (closed_)
    return;
  source_ = std::move(source);
  if (fifo_.is_open())
    read();
  else
    end();
}

void input_pump::wait_readable() {
  const auto ready = [self = shared_from_this()](const asio::error_code& error) {
    if (!error && !self->closed_)
      self->read();
  };
  fifo_.async_wait(asio::posix::stream_descriptor::wait_read, ready);
}

/// Tells "all writers have left" from "none came yet"; read(2) says 0 to both.
bool input_pump::writers_left() const {
  pollfd fifo{const_cast<asio::posix::stream_descriptor&>(fifo_).native_handle(), POLLIN, 0};
  return ::poll(&fifo, 1, 0) == 1 && (fifo.revents & POLLHUP) != 0;
}

void input_pump::close_when_read() {
  closing_ = true;
  keeper_.reset();
  // Nobody may ever have opened the other end: then no event will come from the fifo.
  if (source_ && fifo_.is_open() && bytes_.empty()) {
    asio::error_code ignored;
    fifo_.cancel(ignored);
    read();
  }
}

void input_pump::read() {
  std::array<char, read_size> bytes;
  const auto n = ::read(fifo_.native_handle(), bytes.data(), bytes.size());
  if (n == 0)
    return closing_ || writers_left() ? end() : wait_readable();
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return wait_readable();
  if (n < 0)
    return stop(fail_errno("stdin: read", errno).value());
  bytes_.assign(bytes.data(), static_cast<std::size_t>(n));
  write();
}

void input_pump::write() {
  source_->write(bytes_, [self = shared_from_this()](const outcome<std::size_t>& taken) {
    if (!self->closed_)
      self->written(taken);
  });
}

void input_pump::written(const outcome<std::size_t>& taken) {
  if (!taken)
    return stop(taken.error());
  if (*taken == 0 || *taken > bytes_.size())
    return stop({errc::guest_fault,
                 fmt::format("stdin: {} of {} bytes were taken", *taken, bytes_.size()), 0});
  report_.bytes += *taken;
  bytes_.erase(0, *taken);
  if (bytes_.empty())
    read();
  else
    write();
}

void input_pump::end() {
  asio::error_code ignored;
  fifo_.close(ignored);
  source_->close_input([self = shared_from_this()](const outcome<void>& closed) {
    if (!closed)
      self->report_.failed = closed.error();
  });
}

// The fifo stays open and unread: a client that still writes gets no SIGPIPE for a process that is
// gone.
void input_pump::stop(failure why) {
  report_.lost = bytes_.size();
  report_.failed = std::move(why);
}

void input_pump::close() {
  closed_ = true;
  asio::error_code ignored;
  fifo_.close(ignored);
  keeper_.reset();
  source_.reset();
}

} // namespace troupe::stdio
