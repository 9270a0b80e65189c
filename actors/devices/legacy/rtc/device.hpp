#pragma once

#include "actors/devices/bus/target.hpp"
#include "messages/vocabulary/units.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>

namespace troupe::legacy {

/// Index and data port.
inline constexpr std::uint64_t rtc_port = 0x70;
inline constexpr std::uint64_t rtc_ports = 2;

/// The clock and the 128 bytes of a PC's MC146818. It shows the host's time, UTC, and cannot be
/// set: what a guest writes to the time is dropped. It never says that an update is in progress, so
/// nobody waits for its end, and it raises no interrupt.
class rtc final : public bus::target {
public:
  /// `now` may be called from any thread.
  explicit rtc(std::function<wall_time()> now) : now_(std::move(now)) {}

  void read(std::uint64_t offset, std::span<std::byte> into) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> from) noexcept override;

private:
  [[nodiscard]] std::uint8_t value_of(std::uint8_t index) const noexcept;

  std::function<wall_time()> now_;
  std::mutex mutex_; // Guards all below.
  std::uint8_t index_ = 0;
  bool binary_ = false;                    // Else packed decimal.
  std::array<std::uint8_t, 128> memory_{}; // Of which the clock's own bytes are unused.
};

} // namespace troupe::legacy
