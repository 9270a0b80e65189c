#pragma once

#include "actors/devices/bus/target.hpp"

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

namespace troupe::legacy {

/// Ports 0x60 (data) to 0x64 (command and status); 0x61 between them is the speaker's.
inline constexpr std::uint64_t i8042_port = 0x60;
inline constexpr std::uint64_t i8042_ports = 5;

/// A keyboard controller without a keyboard. What guests want of it is the reset line: Linux pulls
/// it to reboot.
class i8042 final : public bus::target {
public:
  /// `reset` runs on the vCPU thread that asked for it, every time; must not wait or throw.
  explicit i8042(std::function<void()> reset) : reset_(std::move(reset)) {}

  void read(std::uint64_t offset, std::span<std::byte> into) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> from) noexcept override;

private:
  [[nodiscard]] bool command(std::uint8_t value) noexcept;
  [[nodiscard]] bool data(std::uint8_t value) noexcept;

  std::function<void()> reset_;
  std::mutex mutex_; // Guards all below.
  std::uint8_t configuration_ = 0;
  std::optional<std::uint8_t> output_;
  std::uint8_t expects_data_ = 0; // The command whose byte comes next, 0: none.
  bool last_was_command_ = false;
};

} // namespace troupe::legacy
