#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe::bus {

/// What answers accesses of a guest to a range of addresses. Accesses are 1, 2, 4 or 8 bytes long,
/// little-endian, and lie wholly within the range; `offset` counts from its start.
///
/// Thread rule: any number of vCPU threads at once. They stand still meanwhile, so an answer takes
/// a bounded time whatever became of the device behind it.
class target {
public:
  virtual ~target() = default;

  /// `into` is zeroed before: what is left alone reads as zero.
  virtual void read(std::uint64_t offset, std::span<std::byte> into) noexcept = 0;
  virtual void write(std::uint64_t offset, std::span<const std::byte> from) noexcept = 0;
};

/// An access as a number.
[[nodiscard]] constexpr std::uint64_t load(std::span<const std::byte> from) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < from.size() && i < sizeof(value); ++i)
    value |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
  return value;
}

/// Its lowest bytes into `into`.
constexpr void store(std::uint64_t value, std::span<std::byte> into) noexcept {
  for (std::size_t i = 0; i < into.size(); ++i)
    into[i] = i < sizeof(value) ? static_cast<std::byte>(value >> (8 * i)) : std::byte{0};
}

} // namespace troupe::bus
