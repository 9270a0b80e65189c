#pragma once

#include "actors/devices/bus/irq_line.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <memory>

namespace troupe::mmio {

/// What the transport asks of the machine: doorbells and interrupts. Over KVM these are ioeventfd
/// and irqfd. Outlives every transport. Not called from vCPU threads.
class machine_port {
public:
  virtual ~machine_port() = default;

  /// From now on a 4-byte write of `queue` to guest address `at` signals `eventfd` and reaches no
  /// bus. One descriptor may serve several doorbells. unimplemented: the machine has none; writes
  /// then come by the bus, which works too.
  virtual outcome<void> connect_doorbell(gpa at, std::uint32_t queue, int eventfd) = 0;
  /// Undoes it, with the same arguments, before the descriptor is closed.
  virtual void disconnect_doorbell(gpa at, std::uint32_t queue, int eventfd) noexcept = 0;

  /// The edge-triggered interrupt `gsi`, whose destruction gives it back.
  virtual outcome<std::unique_ptr<bus::irq_line>> interrupt(std::uint32_t gsi) = 0;
};

} // namespace troupe::mmio
