#include "guest/agent/stdio/output_stream.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace troupe::guest {
namespace {

/// One read: the capacity of a pipe.
constexpr std::size_t chunk = 64u * 1024;

} // namespace

output_stream::output_stream(asio::io_context& io, unique_fd fd)
    : fd_(io, fd.release()), drain_(io) {}

void output_stream::read(std::size_t length, std::optional<std::uint64_t> offset, answer done) {
  if (length == 0)
    return done(fail(errc::invalid_argument, "len: must not be 0"));
  if (waiting_.size() >= max_waiting_reads)
    return done(fail(errc::resource_exhausted, "stream: {} reads wait already", waiting_.size()));
  waiting_.push_back({std::min(length, max_window), offset, std::move(done)});
  serve();
}

void output_stream::serve() {
  while (!waiting_.empty()) {
    auto& first = waiting_.front();
    auto taken = window_.take(first.length, first.offset);
    if (taken && !taken->has_value()) {
      if (fill())
        continue;
      return wait_for_data();
    }
    auto done = std::move(first.done);
    waiting_.pop_front();
    done(taken ? outcome<std::string>{**std::move(taken)}
               : outcome<std::string>{tl::unexpected(std::move(taken).error())});
  }
}

/// Whether the window changed. EIO is how a terminal says that its last slave is closed.
bool output_stream::fill() {
  if (window_.finished())
    return false;
  std::string data(std::min({waiting_.front().length, chunk, window_.room()}), '\0');
  const auto got = ::read(fd_.native_handle(), data.data(), data.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    if (!exited_ || monotonic_clock::now() - *exited_ < drain_limit)
      return false;
    finish();
    return true;
  }
  if (got <= 0)
    finish();
  else
    window_.append(std::string_view{data}.substr(0, static_cast<std::size_t>(got)));
  return true;
}

void output_stream::wait_for_data() {
  if (exited_)
    arm_drain();
  if (std::exchange(watching_, true))
    return;
  fd_.async_wait(asio::posix::stream_descriptor::wait_read,
                 [self = shared_from_this()](const asio::error_code& error) {
                   self->watching_ = false;
                   self->drain_.cancel();
                   if (!error)
                     self->serve();
                 });
}

void output_stream::arm_drain() {
  drain_.expires_after(drain_idle);
  drain_.async_wait([self = shared_from_this()](const asio::error_code& error) {
    if (error || self->waiting_.empty())
      return;
    if (!self->fill()) // nothing came at the very last moment
      self->finish();
    self->serve();
  });
}

void output_stream::process_exited() {
  exited_ = monotonic_clock::now();
  if (!waiting_.empty())
    arm_drain();
}

void output_stream::finish() {
  window_.finish();
  drain_.cancel();
  asio::error_code ignored;
  fd_.close(ignored);
}

void output_stream::close() {
  finish();
  serve();
}

} // namespace troupe::guest
