#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

/// What host and guest of the block suite agree on. The guest tells its disks by their names.
namespace troupe::testing {

/// Raw; an io_uring behind it, two queues, new device logic in the midst of the traffic.
inline constexpr const char* raw_disk = "troupe-raw";
/// Read-only, full of '!'.
inline constexpr const char* fixed_disk = "troupe-fixed";
/// An ext4 made by the host; threads behind it.
inline constexpr const char* ext4_disk = "troupe-ext4";

inline constexpr std::size_t raw_bytes = 32U << 20;
inline constexpr std::size_t fixed_bytes = 1U << 20;
inline constexpr std::size_t ext4_bytes = 64U << 20;

/// Of the raw disk: what the guest discards and zeroes last of all.
inline constexpr std::size_t discard_at = 24U << 20;
inline constexpr std::size_t zero_at = 26U << 20;
inline constexpr std::size_t range_bytes = 1U << 20;

/// FNV-1a over everything on a disk.
[[nodiscard]] constexpr std::uint64_t digest(std::uint64_t so_far, const char* bytes,
                                             std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    so_far = (so_far ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3ULL;
  return so_far;
}
inline constexpr std::uint64_t digest_start = 0xcbf29ce484222325ULL;

/// File number `i` of the guest whose power is cut.
[[nodiscard]] inline std::string power_text(int i) {
  std::string text;
  for (int k = 0; k < 200 + i * 7919 % 2500; ++k)
    text.append(std::to_string(i + k)).append("\n");
  return text;
}

/// What either side says on the terminal, `who` being 'h' or 'g': lines that are all different.
[[nodiscard]] inline std::string terminal_text(char who) {
  std::string text;
  for (int i = 0; i < 500; ++i)
    text.append(1, who).append(std::to_string(i * 7919)).append("\n");
  return text;
}

} // namespace troupe::testing
