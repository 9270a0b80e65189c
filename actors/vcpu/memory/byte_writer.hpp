#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::memory {

/// Builds a table that the guest reads: packed, little-endian, in the order of the calls. Also
/// while compiling, for tables that are always the same.
class byte_writer {
public:
  constexpr byte_writer() { bytes_.reserve(64); }
  constexpr byte_writer& u8(std::uint8_t value) { return number(value, 1); }
  constexpr byte_writer& u16(std::uint16_t value) { return number(value, 2); }
  constexpr byte_writer& u32(std::uint32_t value) { return number(value, 4); }
  constexpr byte_writer& u64(std::uint64_t value) { return number(value, 8); }
  constexpr byte_writer& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  /// A text without an end mark.
  constexpr byte_writer& text(std::string_view value) {
    for (const char it : value)
      bytes_.push_back(static_cast<std::byte>(it));
    return *this;
  }
  constexpr byte_writer& append(std::span<const std::byte> more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }

  /// Overwrites what is there already. @pre at + sizes lie inside.
  constexpr void patch_u8(std::size_t at, std::uint8_t value) { bytes_.at(at) = std::byte{value}; }
  constexpr void patch_u16(std::size_t at, std::uint16_t value) { patch(at, value, 2); }
  constexpr void patch_u32(std::size_t at, std::uint32_t value) { patch(at, value, 4); }
  constexpr void patch_u64(std::size_t at, std::uint64_t value) { patch(at, value, 8); }

  [[nodiscard]] constexpr std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] constexpr const std::vector<std::byte>& bytes() const noexcept { return bytes_; }
  /// The table itself, which is complete.
  [[nodiscard]] constexpr std::vector<std::byte> take() noexcept { return std::move(bytes_); }

private:
  constexpr byte_writer& number(std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i)
      bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
    return *this;
  }
  constexpr void patch(std::size_t at, std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i)
      bytes_.at(at + i) = static_cast<std::byte>(value >> (8 * i));
  }

  std::vector<std::byte> bytes_;
};

/// What a byte must hold for all of `bytes` and itself to sum to 0, as firmware tables want.
[[nodiscard]] constexpr std::uint8_t checksum(std::span<const std::byte> bytes) noexcept {
  std::uint8_t sum = 0;
  for (const auto it : bytes)
    sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(it));
  return static_cast<std::uint8_t>(-sum);
}

} // namespace troupe::memory
