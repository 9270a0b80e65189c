#include "guest/agent/boot/log_output.hpp"

#include "guest/agent/boot/log_line.hpp"

#include <asio/post.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace troupe::guest {

log_output::log_output(asio::io_context& io, int console)
    : io_(io), console_(console), listening_(io), peer_(io) {}

void log_output::install() {
  log::set_sink([self = shared_from_this()](const log::record& what) { self->take(what); });
}

void log_output::take(const log::record& what) {
  const auto line = format_log_line(what, std::chrono::system_clock::now(), ::getpid());
  if (!has_port_ || what.severity >= log::level::warn)
    (void)!::write(console_, line.data(), line.size()); // a full console loses the line
  if (has_port_)
    queue(line);
}

void log_output::queue(const std::string& line) {
  const std::lock_guard lock{guard_};
  if (backlog_.size() + line.size() > max_log_backlog) {
    ++dropped_;
    return;
  }
  if (const auto lost = std::exchange(dropped_, 0); lost > 0)
    backlog_ +=
        format_log_line({log::level::warn, "log", fmt::format("{} lines were dropped", lost)},
                        std::chrono::system_clock::now(), ::getpid());
  backlog_ += line;
  if (!std::exchange(scheduled_, true))
    schedule();
}

void log_output::schedule() {
  asio::post(io_, [self = shared_from_this()] {
    {
      const std::lock_guard lock{self->guard_};
      self->scheduled_ = false;
    }
    self->flush();
  });
}

void log_output::serve(unique_fd listening) {
  listening_.assign(listening.release());
  has_port_ = true;
  accept();
}

void log_output::accept() {
  listening_.async_wait(asio::posix::stream_descriptor::wait_read,
                        [self = shared_from_this()](const asio::error_code& error) {
                          if (error)
                            return;
                          const int fd = ::accept4(self->listening_.native_handle(), nullptr,
                                                   nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
                          if (fd < 0)
                            return self->accept();
                          self->peer_.assign(fd);
                          self->flush();
                        });
}

void log_output::flush() {
  if (!peer_.is_open())
    return;
  for (;;) {
    if (sending_.empty()) {
      const std::lock_guard lock{guard_};
      sending_ = std::exchange(backlog_, {});
    }
    if (sending_.empty())
      return;
    const auto put = ::send(peer_.native_handle(), sending_.data(), sending_.size(), MSG_NOSIGNAL);
    if (put < 0 && errno == EAGAIN)
      return wait_for_room();
    if (put < 0) {
      asio::error_code ignored;
      peer_.close(ignored);
      return accept();
    }
    sending_.erase(0, static_cast<std::size_t>(put));
  }
}

void log_output::wait_for_room() {
  peer_.async_wait(asio::posix::stream_descriptor::wait_write,
                   [self = shared_from_this()](const asio::error_code& error) {
                     if (!error)
                       self->flush();
                   });
}

} // namespace troupe::guest
