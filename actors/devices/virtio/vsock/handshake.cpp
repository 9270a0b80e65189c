#include "actors/devices/virtio/vsock/handshake.hpp"

#include <strings.h>

#include <charconv>

namespace troupe::vsock {

outcome<std::uint32_t> parse_connect(std::string_view line) {
  constexpr std::string_view keyword = "CONNECT ";
  std::uint32_t port = 0;
  if (line.size() > keyword.size() &&
      ::strncasecmp(line.data(), keyword.data(), keyword.size()) == 0) {
    const auto* const end = line.data() + line.size();
    const auto result = std::from_chars(line.data() + keyword.size(), end, port);
    if (result.ec == std::errc{} && result.ptr == end)
      return port;
  }
  return fail(errc::peer_fault, "vsock handshake: a line of {} bytes is not CONNECT <port>",
              line.size());
}

} // namespace troupe::vsock
