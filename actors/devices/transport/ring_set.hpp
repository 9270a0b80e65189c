#pragma once

#include "actors/devices/virtio/queue.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace troupe::transport {

/// What a transport knows of a device apart from its logic: rings, features, memory. It outlives
/// the logic, so a new one goes on where the old one stopped. Calls come from the device's worker
/// unless said otherwise.
class ring_set {
public:
  virtual ~ring_set() = default;

  /// Whether the driver wants the device to run.
  [[nodiscard]] virtual bool runnable() const noexcept = 0;
  /// Counts up with every start or stop of a ring: what ran before has to be started anew.
  [[nodiscard]] virtual std::uint64_t generation() const noexcept = 0;
  /// Acknowledged feature bits.
  [[nodiscard]] virtual std::uint64_t features() const noexcept = 0;
  [[nodiscard]] virtual const std::shared_ptr<const memory::guest_memory>&
  memory() const noexcept = 0;

  /// How many rings the device has, started or not.
  [[nodiscard]] virtual std::size_t count() const noexcept = 0;
  /// Gives every started ring a queue; guest_fault or peer_fault when a ring is nonsense.
  virtual outcome<void> attach_queues() = 0;
  /// Null while the ring is not started.
  [[nodiscard]] virtual virtio::queue* queue_of(std::size_t index) noexcept = 0;
  /// The eventfd that the driver's kicks arrive on; rings may share one. -1 while not started.
  [[nodiscard]] virtual int kick_of(std::size_t index) const noexcept = 0;

  /// The device was stopped by a failure. `for_good`: no replacement is wanted, only the driver's
  /// next start of the rings brings the device back.
  virtual void stopped(bool for_good) noexcept = 0;
  /// The device changed its configuration space; the driver is to be told. Any thread.
  virtual void config_changed() noexcept = 0;
};

} // namespace troupe::transport
