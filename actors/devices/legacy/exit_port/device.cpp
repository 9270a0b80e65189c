#include "actors/devices/legacy/exit_port/device.hpp"

namespace troupe::legacy {

void exit_port::read(std::uint64_t, std::span<std::byte>) noexcept {
  // Zeros: there is nothing to see.
}

void exit_port::write(std::uint64_t, std::span<const std::byte> from) noexcept {
  if (!written_.exchange(true) && exit_)
    exit_(static_cast<std::uint32_t>(bus::load(from)));
}

} // namespace troupe::legacy
