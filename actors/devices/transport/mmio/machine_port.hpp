#pragma once

#include "actors/devices/bus/irq_line.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <memory>

namespace troupe::mmio {

/// An eventfd that its user and a connection share: the kernel lets go of a doorbell only while its
/// eventfd is open.
using shared_event = std::shared_ptr<const unique_fd>;

/// A doorbell in force; its destruction takes it back.
class connection {
public:
  virtual ~connection() = default;
};

/// What the transport asks of the machine: doorbells and interrupts. Over KVM these are ioeventfd
/// and irqfd. Outlives every transport. Not called from vCPU threads.
class machine_port {
public:
  virtual ~machine_port() = default;

  /// From now on a 4-byte write of `queue` to guest address `at` signals `event` and reaches no
  /// bus. One eventfd may serve several doorbells. unimplemented: the machine has none; writes then
  /// come by the bus, which works too.
  virtual outcome<std::unique_ptr<connection>> connect_doorbell(gpa at, std::uint32_t queue,
                                                                shared_event event) = 0;

  /// The edge-triggered interrupt `gsi`, whose destruction gives it back.
  virtual outcome<std::unique_ptr<bus::irq_line>> interrupt(std::uint32_t gsi) = 0;
};

} // namespace troupe::mmio
