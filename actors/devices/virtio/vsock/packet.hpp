#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>

/// Packets of virtio-vsock (VIRTIO 1.2, 5.10.6).
namespace troupe::vsock {

inline constexpr std::uint64_t host_cid = 2;
inline constexpr std::uint16_t type_stream = 1;

enum class operation : std::uint16_t {
  invalid = 0,
  request = 1,
  response = 2,
  reset = 3,
  shutdown = 4,
  data = 5,
  credit_update = 6,
  credit_request = 7,
};

/// Flags of a shutdown: the sender will receive, or send, no more.
inline constexpr std::uint32_t shutdown_receive = 1;
inline constexpr std::uint32_t shutdown_send = 2;
inline constexpr std::uint32_t shutdown_both = shutdown_receive | shutdown_send;

struct header {
  std::uint64_t source_cid = 0;
  std::uint64_t target_cid = 0;
  std::uint32_t source_port = 0;
  std::uint32_t target_port = 0;
  /// Bytes of payload.
  std::uint32_t length = 0;
  std::uint16_t type = type_stream;
  operation op = operation::invalid;
  std::uint32_t flags = 0;
  /// The sender's receive buffer, and how much of what it got it has passed on (wraps).
  std::uint32_t buffer_size = 0;
  std::uint32_t forwarded = 0;

  friend bool operator==(const header&, const header&) = default;
};

inline constexpr std::size_t header_bytes = 44;
using header_image = std::array<std::byte, header_bytes>;

[[nodiscard]] header decode(const header_image& from) noexcept;
[[nodiscard]] header_image encode(const header& from) noexcept;

/// The two ports of a connection; the CIDs are always the host's and the guest's.
struct port_pair {
  std::uint32_t host = 0;
  std::uint32_t guest = 0;
  friend auto operator<=>(const port_pair&, const port_pair&) = default;
};

} // namespace troupe::vsock
