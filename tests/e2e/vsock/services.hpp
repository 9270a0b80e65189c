#pragma once

#include <cstddef>
#include <cstdint>

/// What the guest program of the vsock suite serves, known to both sides.
namespace troupe::testing {

/// Sends back what it gets until the end of it.
inline constexpr std::uint32_t port_echo = 5000;
/// Checks pattern bytes until their end, then answers "<count> <errors>\n".
inline constexpr std::uint32_t port_sink = 5001;
/// Takes a line with a count, sends that many pattern bytes.
inline constexpr std::uint32_t port_source = 5002;
/// Takes a line with a port, connects to it on the host, says "hello host\n" there, and answers on
/// this connection with the line it heard, or "error <errno>\n".
inline constexpr std::uint32_t port_dial = 5003;
/// Says "bye\n" and ends its direction; tells port_count how many bytes it got after that.
inline constexpr std::uint32_t port_half_close = 5004;
/// Answers "<count>\n" with what port_half_close last got.
inline constexpr std::uint32_t port_count = 5005;
/// Answers "<n>\n", the number of connections that ended with an error so far.
inline constexpr std::uint32_t port_broken = 5006;
/// Nobody listens here.
inline constexpr std::uint32_t port_nobody = 5999;

/// Byte `at` of the bulk pattern: a period that no buffer size divides shows losses and swaps.
inline constexpr std::size_t pattern_period = 65'521;
[[nodiscard]] constexpr unsigned char pattern(std::size_t at) {
  return static_cast<unsigned char>((at % pattern_period) * 2654435761U >> 13U);
}

} // namespace troupe::testing
