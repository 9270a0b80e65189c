#pragma once

namespace troupe::bus {

/// An edge-triggered interrupt input of the machine: over KVM an irqfd or KVM_IRQ_LINE.
class irq_line {
public:
  virtual ~irq_line() = default;
  /// One edge. Never waits. Any thread.
  virtual void raise() noexcept = 0;
};

} // namespace troupe::bus
