#pragma once

#include <cstddef>
#include <cstdint>

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

} // namespace troupe::testing
