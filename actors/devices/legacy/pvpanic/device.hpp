#pragma once

#include "actors/devices/bus/target.hpp"

#include <cstdint>
#include <functional>

namespace troupe::legacy {

/// One I/O port. The guest finds it by the ACPI device QEMU0001, whose one resource it is.
inline constexpr std::uint64_t pvpanic_port = 0x505;
inline constexpr std::uint64_t pvpanic_ports = 1;

/// What a guest says of its end (QEMU, docs/specs/pvpanic).
enum class panic_event : std::uint8_t {
  panicked = 1,     ///< Its kernel gave up and will stop or reboot.
  crash_loaded = 2, ///< Its kernel gave up and a crash kernel takes over.
};

/// How a guest's kernel tells that it panicked, before it reboots or hangs.
class pvpanic final : public bus::target {
public:
  /// `tell` runs on the vCPU thread that wrote, at every write that names an event; must not wait
  /// or throw.
  explicit pvpanic(std::function<void(panic_event)> tell) : tell_(std::move(tell)) {}

  /// The events that we understand.
  void read(std::uint64_t offset, std::span<std::byte> into) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> from) noexcept override;

private:
  std::function<void(panic_event)> tell_;
};

} // namespace troupe::legacy
