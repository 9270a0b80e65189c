#pragma once

#include "actors/devices/bus/target.hpp"

#include <cstdint>
#include <functional>

namespace troupe::legacy {

/// Sleep control and sleep status, one byte each (ACPI 6.5, 4.8.3.7).
inline constexpr std::uint64_t sleep_ports = 2;

/// How a guest switches itself off on a machine without fixed ACPI registers.
class power final : public bus::target {
public:
  /// `off_value` is what the guest writes to sleep control: SLP_TYP of \_S5 and SLP_EN. `off` runs
  /// on the vCPU thread that wrote it, every time; must not wait or throw.
  power(std::uint8_t off_value, std::function<void()> off)
      : off_value_(off_value), off_(std::move(off)) {}

  /// Never wakes up, so the status is zero.
  void read(std::uint64_t, std::span<std::byte>) noexcept override {}
  void write(std::uint64_t offset, std::span<const std::byte> from) noexcept override {
    if (offset == 0 && from.size() == 1 && bus::load(from) == off_value_ && off_)
      off_();
  }

private:
  std::uint8_t off_value_;
  std::function<void()> off_;
};

} // namespace troupe::legacy
