#pragma once

#include "actors/vcpu/run/control.hpp"
#include "actors/vcpu/run/counters.hpp"
#include "actors/vcpu/run/exits.hpp"

#include <cstdint>
#include <optional>

namespace troupe::vcpu {

/// A virtual processor as whoever commands it sees it, without waiting. Any thread, but one at a
/// time gives commands. What it reaches is told by the machine it belongs to.
class processor_port {
public:
  virtual ~processor_port() = default;

  [[nodiscard]] virtual std::uint32_t id() const noexcept = 0;
  /// Begins a command. Failures as control::ask().
  [[nodiscard]] virtual outcome<void> ask(command what) = 0;
  [[nodiscard]] virtual phase where() const = 0;
  /// Why it parked or ended; empty before.
  [[nodiscard]] virtual std::optional<vcpu_end> why() const = 0;
  [[nodiscard]] virtual const counters& count() const noexcept = 0;
};

} // namespace troupe::vcpu
