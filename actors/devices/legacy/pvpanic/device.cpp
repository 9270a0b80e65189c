#include "actors/devices/legacy/pvpanic/device.hpp"

namespace troupe::legacy {
namespace {

constexpr auto panicked = static_cast<std::uint8_t>(panic_event::panicked);
constexpr auto crash_loaded = static_cast<std::uint8_t>(panic_event::crash_loaded);

} // namespace

void pvpanic::read(std::uint64_t, std::span<std::byte> into) noexcept {
  bus::store(panicked | crash_loaded, into);
}

void pvpanic::write(std::uint64_t, std::span<const std::byte> from) noexcept {
  const auto said = bus::load(from);
  if (!tell_)
    return;
  if ((said & panicked) != 0)
    tell_(panic_event::panicked);
  else if ((said & crash_loaded) != 0)
    tell_(panic_event::crash_loaded);
}

} // namespace troupe::legacy
