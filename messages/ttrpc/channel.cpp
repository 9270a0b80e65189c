#include "messages/ttrpc/channel.hpp"

#include <asio/bind_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/write.hpp>

#include <array>
#include <utility>

namespace troupe::ttrpc {
namespace {

/// Frames of one kilobyte are the rule; stdout comes in pieces of the pumps' size.
constexpr std::size_t read_size = 64U << 10;
/// A peer that sends without pause must not keep the others of the same thread waiting.
constexpr int reads_per_turn = 8;

} // namespace

void channel::close() {
  if (std::exchange(closed_, true))
    return;
  asio::error_code ignored;
  socket_.close(ignored);
}

void channel::start() {
  asio::error_code error;
  socket_.non_blocking(true, error);
  wait_readable();
}

void channel::wait_readable() {
  const auto ready = [self = shared_from_this()](const asio::error_code& error) {
    if (!self->closed_ && !error)
      self->read();
  };
  socket_.async_wait(stream_socket::wait_read, asio::bind_executor(strand_, ready));
}

void channel::read() {
  // On the stack, not in the object: an idle connection then costs no buffer.
  std::array<char, read_size> bytes;
  for (int i = 0; i < reads_per_turn && !closed_; ++i) {
    asio::error_code error;
    const auto n = socket_.read_some(asio::buffer(bytes), error);
    if (error == asio::error::would_block)
      break;
    if (error == asio::error::eof)
      return on_end("closed by peer", true);
    if (error)
      return on_end(error.message(), false);
    take({bytes.data(), n});
  }
  if (!closed_)
    wait_readable();
}

void channel::take(std::string_view bytes) {
  while (!closed_) {
    auto item = reader_.next(bytes);
    if (!item)
      return;
    if (auto* whole = std::get_if<frame>(&*item))
      on_frame(std::move(*whole));
    else
      on_oversize(std::get<oversize_frame>(*item).header);
  }
}

void channel::send(std::uint32_t stream, frame_type type, std::string_view body) {
  if (closed_)
    return;
  queue_.push_back(encode(stream, type, body));
  unsent_ += queue_.back().size();
  if (writing_.empty())
    write();
}

void channel::write() {
  writing_.swap(queue_);
  std::vector<asio::const_buffer> buffers;
  buffers.reserve(writing_.size());
  for (const auto& bytes : writing_)
    buffers.push_back(asio::buffer(bytes));
  const auto done = [self = shared_from_this()](const asio::error_code& error, std::size_t n) {
    if (self->closed_)
      return;
    self->writing_.clear();
    self->unsent_ -= n;
    if (error)
      return self->write_failed(error);
    if (!self->queue_.empty())
      return self->write();
    self->on_flushed();
  };
  asio::async_write(socket_, buffers, asio::bind_executor(strand_, done));
}

// A peer may have answered and left before our bytes came: what it said counts first.
void channel::write_failed(const asio::error_code& error) {
  read();
  if (!closed_)
    on_end(error.message(), false);
}

} // namespace troupe::ttrpc
