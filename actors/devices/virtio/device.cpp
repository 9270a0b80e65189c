#include "actors/devices/virtio/device.hpp"

#include <algorithm>

namespace troupe::virtio {

void copy_config(std::span<const std::byte> space, std::uint32_t offset,
                 std::span<std::byte> into) noexcept {
  std::ranges::fill(into, std::byte{0});
  if (offset < space.size())
    std::ranges::copy(space.subspan(offset, std::min(into.size(), space.size() - offset)),
                      into.begin());
}

} // namespace troupe::virtio
