#include "actors/devices/virtio/vsock/packet.hpp"

#include <cstring>

namespace troupe::vsock {

// The structure has the layout of the wire up to its last field; only its tail is padded.
static_assert(offsetof(header, length) == 24 && offsetof(header, op) == 30);
static_assert(offsetof(header, forwarded) + sizeof(std::uint32_t) == header_bytes);

header decode(const header_image& from) noexcept {
  header it;
  std::memcpy(&it, from.data(), from.size());
  return it;
}

header_image encode(const header& from) noexcept {
  header_image it;
  std::memcpy(it.data(), &from, it.size());
  return it;
}

} // namespace troupe::vsock
