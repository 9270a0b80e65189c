#pragma once

#include "messages/vocabulary/units.hpp"

#include <cstdint>

namespace troupe::memory {

/// [start, start + size) of guest-physical memory. Whoever makes one has checked that it does not
/// wrap around.
struct address_range {
  gpa start = 0;
  byte_count size = 0;

  [[nodiscard]] constexpr gpa end() const noexcept { return start + size; }
  [[nodiscard]] constexpr bool contains(gpa at, byte_count length) const noexcept {
    return at >= start && length <= size && at - start <= size - length;
  }
  [[nodiscard]] constexpr bool overlaps(const address_range& other) const noexcept {
    return start < other.end() && other.start < end();
  }
  friend bool operator==(const address_range&, const address_range&) = default;
};

/// Where the guest finds the registers of a device, and the interrupt line it raises.
struct device_window {
  address_range registers;
  /// Global system interrupt: the input of the interrupt controller.
  std::uint32_t gsi = 0;
  friend bool operator==(const device_window&, const device_window&) = default;
};

/// `value` rounded up or down to a multiple of `step`, a power of two. Rounding up may wrap.
[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t step) noexcept {
  return (value + step - 1) & ~(step - 1);
}
[[nodiscard]] constexpr std::uint64_t round_down(std::uint64_t value, std::uint64_t step) noexcept {
  return value & ~(step - 1);
}

} // namespace troupe::memory
