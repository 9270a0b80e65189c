#pragma once

#include "messages/ttrpc/frame.hpp"

#include <asio/any_io_executor.hpp>
#include <asio/error_code.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/strand.hpp>

#include <memory>
#include <string>
#include <vector>

namespace troupe::ttrpc {

/// Any connected stream socket: AF_UNIX, AF_VSOCK.
using stream_socket = asio::generic::stream_protocol::socket;
/// Everything of one connection, or of one server, happens on one strand.
using strand = asio::strand<asio::any_io_executor>;

/// One connection: frames in, frames out, in order. The client and the server's connections derive
/// from it. Every member is called on the strand; the object lives as long as its socket
/// operations.
class channel : public std::enable_shared_from_this<channel> {
public:
  channel(stream_socket socket, strand where)
      : socket_(std::move(socket)), strand_(std::move(where)) {}
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  virtual ~channel() = default;

  /// Begins to read.
  void start();

  /// Ends it at once: queued frames are lost, no handler is called any more. Harmless to repeat.
  void close();

  [[nodiscard]] const strand& where() const noexcept { return strand_; }

protected:
  virtual void on_frame(frame received) = 0;
  virtual void on_oversize(const frame_header& header) = 0;
  /// Nothing more comes: `why` is "closed by peer" or a system error. `writable`: the peer may only
  /// have closed its sending half and still read.
  virtual void on_end(const std::string& why, bool writable) = 0;
  /// All that was queued is written.
  virtual void on_flushed() {}

  /// Queues a frame. @pre body.size() <= max_body
  void send(std::uint32_t stream, frame_type type, std::string_view body);

  [[nodiscard]] bool closed() const noexcept { return closed_; }
  /// Bytes queued and not yet written.
  [[nodiscard]] std::size_t unsent() const noexcept { return unsent_; }

private:
  void wait_readable();
  void read();
  void take(std::string_view bytes);
  void write();
  void write_failed(const asio::error_code& error);

  stream_socket socket_;
  strand strand_;
  frame_reader reader_;
  std::vector<std::string> queue_;
  std::vector<std::string> writing_;
  std::size_t unsent_ = 0;
  bool closed_ = false;
};

} // namespace troupe::ttrpc
