#pragma once

#include "actors/devices/vhost_user/codec.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <sys/socket.h>

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace troupe::vhost_user {

/// Frames and descriptors over a connected, non-blocking socket. Never blocks.
class channel {
public:
  explicit channel(unique_fd socket) : socket_(std::move(socket)), buffer_(sizeof(wire::header)) {}

  /// The next whole message; nothing when more bytes are needed. Descriptors arrive CLOEXEC. Fails
  /// with cancelled when the peer hung up, with peer_fault when it broke the framing.
  [[nodiscard]] outcome<std::optional<message>> receive();

  /// Sends a frame at once: a peer that lets its answers pile up has broken the protocol.
  [[nodiscard]] outcome<void> send(std::span<const std::byte> frame);

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }

private:
  // True when buffer_ is full.
  [[nodiscard]] outcome<bool> fill();
  [[nodiscard]] outcome<void> take_fds(const msghdr& from);

  unique_fd socket_;
  bytes buffer_; // A header, or the payload that `header_` announced.
  std::size_t filled_ = 0;
  std::optional<wire::header> header_;
  std::vector<unique_fd> fds_;
};

} // namespace troupe::vhost_user
