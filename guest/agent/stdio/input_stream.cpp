#include "guest/agent/stdio/input_stream.hpp"

#include <termios.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace troupe::guest {

input_stream::input_stream(asio::io_context& io, unique_fd fd, bool terminal)
    : fd_(io, fd.release()), terminal_(terminal) {}

void input_stream::write(std::string data, answer done) {
  if (closed_)
    return done(fail(errc::failed_precondition, "stdin: is closed"));
  if (waiting_bytes_ + data.size() > max_waiting_input)
    return done(fail(errc::resource_exhausted, "stdin: {} bytes wait already", waiting_bytes_));
  waiting_bytes_ += data.size();
  if (!data.empty())
    last_ = data.back();
  queue_.push_back({std::move(data), 0, std::move(done)});
  pump();
}

void input_stream::close() {
  if (std::exchange(closed_, true))
    return;
  if (terminal_)
    queue_.push_back({end_of_file(), 0, [](const outcome<std::uint32_t>&) {}});
  pump();
}

/// The character only ends input at the start of a line; elsewhere the first one sends the line.
std::string input_stream::end_of_file() {
  termios settings{};
  if (::tcgetattr(fd_.native_handle(), &settings) != 0 || (settings.c_lflag & ICANON) == 0)
    return {};
  return std::string(last_ == '\n' ? 1 : 2, static_cast<char>(settings.c_cc[VEOF]));
}

void input_stream::pump() {
  while (!queue_.empty()) {
    auto& first = queue_.front();
    const auto left = std::string_view{first.data}.substr(first.sent);
    const auto put = left.empty() ? 0 : ::write(fd_.native_handle(), left.data(), left.size());
    if (put < 0 && (errno == EAGAIN || errno == EINTR))
      return wait_for_room();
    if (put < 0)
      return fail_all("stdin: the process closed it");
    first.sent += static_cast<std::size_t>(put);
    waiting_bytes_ -= std::min(waiting_bytes_, static_cast<std::size_t>(put));
    if (first.sent < first.data.size())
      continue;
    const auto done = std::move(first.done);
    const auto count = static_cast<std::uint32_t>(first.sent);
    queue_.pop_front();
    done(count);
  }
  if (closed_ && !terminal_) {
    asio::error_code ignored;
    fd_.close(ignored);
  }
}

void input_stream::wait_for_room() {
  if (std::exchange(watching_, true))
    return;
  fd_.async_wait(asio::posix::stream_descriptor::wait_write,
                 [self = shared_from_this()](const asio::error_code& error) {
                   self->watching_ = false;
                   if (!error)
                     self->pump();
                 });
}

void input_stream::fail_all(std::string_view why) {
  closed_ = true;
  waiting_bytes_ = 0;
  for (auto& item : std::exchange(queue_, {}))
    item.done(fail(errc::failed_precondition, "{}", why));
}

} // namespace troupe::guest
