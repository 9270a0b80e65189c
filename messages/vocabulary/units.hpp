#pragma once

#include <chrono>
#include <cstdint>

namespace troupe {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// The clock of every deadline. Virtual in tests: rules take time points as arguments.
using monotonic_clock = std::chrono::steady_clock;
using time_point = monotonic_clock::time_point;
/// The clock of what people and containerd read: exit times, event time stamps.
using wall_time = std::chrono::system_clock::time_point;

/// Bytes. A plain number with a name; factories keep the factor visible.
using byte_count = std::uint64_t;
[[nodiscard]] constexpr byte_count kib(std::uint64_t n) noexcept { return n << 10; }
[[nodiscard]] constexpr byte_count mib(std::uint64_t n) noexcept { return n << 20; }
[[nodiscard]] constexpr byte_count gib(std::uint64_t n) noexcept { return n << 30; }

/// A guest-physical byte address.
using gpa = std::uint64_t;

} // namespace troupe
