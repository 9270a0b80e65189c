#pragma once

#include "actors/devices/bus/target.hpp"

#include <atomic>
#include <cstdint>
#include <functional>

namespace troupe::legacy {

/// Where test guests expect it, as wide as one access.
inline constexpr std::uint64_t exit_port_at = 0xf4;
inline constexpr std::uint64_t exit_ports = 4;

/// Ends the machine with a code: a debugging aid for guests that are tests. Off by default.
class exit_port final : public bus::target {
public:
  /// `exit` runs once, with the first value written, on the vCPU thread that wrote it; must not
  /// wait or throw.
  explicit exit_port(std::function<void(std::uint32_t)> exit) : exit_(std::move(exit)) {}

  void read(std::uint64_t offset, std::span<std::byte> into) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> from) noexcept override;

private:
  std::function<void(std::uint32_t)> exit_;
  std::atomic<bool> written_ = false;
};

} // namespace troupe::legacy
