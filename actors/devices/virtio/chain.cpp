#include "actors/devices/virtio/chain.hpp"

#include "actors/vcpu/memory/access_raw.hpp"

namespace troupe::virtio {

std::size_t chain::read(std::size_t offset, std::span<std::byte> into) const noexcept {
  return memory::raw::gather(readable(), offset, into);
}

std::size_t chain::write(std::size_t offset, std::span<const std::byte> from) const noexcept {
  return memory::raw::scatter(writable(), offset, from);
}

} // namespace troupe::virtio
