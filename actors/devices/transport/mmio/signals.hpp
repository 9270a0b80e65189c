#pragma once

#include "actors/devices/bus/irq_line.hpp"
#include "actors/devices/transport/mmio/registers.hpp"
#include "actors/devices/virtio/queue.hpp"

#include <atomic>
#include <cstdint>
#include <memory>

namespace troupe::mmio {

/// What the device tells the driver: the interrupt with the register that says why, and the bit
/// that asks for a reset. Any thread, without a lock.
class signals final : public virtio::interrupt {
public:
  explicit signals(std::unique_ptr<bus::irq_line> line) noexcept : line_(std::move(line)) {}

  /// There is something in a used ring.
  void raise() noexcept override { tell(interrupt_used_buffer); }
  void config_changed() noexcept { tell(interrupt_config_changed); }
  /// The driver must reset the device; `and_tell` once it runs (VIRTIO 1.2, 2.1.2).
  void need_reset(bool and_tell) noexcept {
    needs_reset_ = true;
    if (and_tell)
      config_changed();
  }

  [[nodiscard]] bool needs_reset() const noexcept { return needs_reset_; }
  [[nodiscard]] std::uint32_t pending() const noexcept { return pending_; }
  void acknowledge(std::uint32_t bits) noexcept { pending_ &= ~bits; }
  /// The driver reset the device, which is at rest.
  void clear() noexcept {
    needs_reset_ = false;
    pending_ = 0;
  }

private:
  // The reason first: the interrupt's handler reads it.
  void tell(std::uint32_t why) noexcept {
    pending_ |= why;
    line_->raise();
  }

  std::unique_ptr<bus::irq_line> line_;
  std::atomic<std::uint32_t> pending_ = 0;
  std::atomic<bool> needs_reset_ = false;
};

} // namespace troupe::mmio
