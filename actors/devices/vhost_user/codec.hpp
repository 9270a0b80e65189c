#pragma once

#include "actors/devices/vhost_user/wire.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// Bytes of the vhost-user protocol to values and back; no sockets, no state. What does not have
/// exactly the shape its request wants fails with peer_fault.
namespace troupe::vhost_user {

using bytes = std::vector<std::byte>;

/// One request as it came in.
struct message {
  wire::request request{};
  /// The front-end waits for an acknowledgement even if the request has no answer of its own.
  bool need_reply = false;
  bytes payload;
  std::vector<unique_fd> fds;
};

/// `from` is exactly one header. Checks version, direction and size; unknown requests pass.
[[nodiscard]] outcome<wire::header> decode_header(std::span<const std::byte> from);

[[nodiscard]] outcome<void> expect_empty(const message& from);
[[nodiscard]] outcome<std::uint64_t> decode_number(const message& from);
[[nodiscard]] outcome<wire::vring_state> decode_vring_state(const message& from);
[[nodiscard]] outcome<wire::vring_address> decode_vring_address(const message& from);

/// One descriptor per region.
[[nodiscard]] outcome<std::vector<wire::memory_region>> decode_memory_table(const message& from);

/// The ring of a kick, call or err message and its descriptor; none when the peer said so.
struct vring_fd {
  std::size_t index = 0;
  unique_fd fd;
};
[[nodiscard]] outcome<vring_fd> decode_vring_fd(message& from);

/// A window of configuration space; `data` views the message's payload.
struct config_window {
  wire::config_header header;
  std::span<const std::byte> data;
};
[[nodiscard]] outcome<config_window> decode_config(const message& from);

/// Whole reply frames.
[[nodiscard]] bytes encode_reply(wire::request to, std::span<const std::byte> payload);
[[nodiscard]] bytes encode_number(wire::request to, std::uint64_t value);
[[nodiscard]] bytes encode_vring_state(wire::request to, wire::vring_state state);
[[nodiscard]] bytes encode_config(wire::config_header header, std::span<const std::byte> data);

} // namespace troupe::vhost_user
