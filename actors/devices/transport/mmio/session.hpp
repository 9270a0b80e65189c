#pragma once

#include "actors/devices/bus/target.hpp"
#include "actors/devices/transport/device_host.hpp"
#include "actors/devices/transport/mmio/machine_port.hpp"
#include "actors/devices/transport/mmio/registers.hpp"
#include "actors/devices/virtio/device.hpp"
#include "actors/devices/worker.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace troupe::mmio {

/// How many descriptors a device's doorbells cost.
enum class doorbells : std::uint8_t {
  per_queue,
  shared, ///< One for all queues; every kick looks at all of them.
};

struct session_options {
  /// Where the window is on the machine's bus: `window_bytes` from here on.
  gpa base = 0;
  std::uint32_t gsi = 0;
  doorbells bells = doorbells::per_queue;
  /// How long a vCPU waits for the device's worker. Then the device counts as lost: the driver
  /// reads that it needs a reset, and the guest goes on.
  milliseconds patience{1000};
};

/// Running sums since the start.
struct session_stats {
  /// Kicks by doorbell and by register, and those of them that came by register.
  std::uint64_t kicks = 0;
  std::uint64_t register_kicks = 0;
  std::uint64_t resets = 0;
  /// Register accesses that were not legal and had no effect.
  std::uint64_t refused = 0;
  /// How often the worker did not come in time.
  std::uint64_t overdue = 0;
  /// Of the present device.
  std::uint64_t chains = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
};

class window;

/// Serves one device to our own guest over a virtio-mmio window. Registers, queues and doorbells
/// live here and outlive the device logic: what throws is replaced over the same queues while the
/// guest goes on; a guest that lies reads DEVICE_NEEDS_RESET and comes back by a reset.
///
/// Owned by a device's control actor. Every call from any thread that is neither a vCPU's nor the
/// worker's; the device runs on the worker, and a vCPU that writes a register waits for it,
/// bounded.
class session {
public:
  /// Connects doorbells and interrupt. `loop` and `machine` outlive the session. The hooks are
  /// called on the worker's thread; they must not block or call back into the session.
  [[nodiscard]] static outcome<std::unique_ptr<session>>
  start(std::unique_ptr<virtio::device> device, std::shared_ptr<const memory::guest_memory> ram,
        devices::worker& loop, machine_port& machine, session_options how,
        transport::device_host::hooks tell);

  session(const session&) = delete;
  session& operator=(const session&) = delete;
  /// stop() with a default deadline.
  ~session();

  /// What the machine's bus is given at session_options::base, and has to let go of before stop.
  [[nodiscard]] std::shared_ptr<bus::target> registers() const noexcept;

  /// Stops the device and disconnects its doorbells; a guest that still looks reads that it needs a
  /// reset. After deadline_exceeded the worker hangs in the device, which goes as soon as it comes
  /// back.
  outcome<void> stop(milliseconds limit);

  /// Puts new logic over the same queues, at once and in the middle of traffic. Chains in flight
  /// are handed out again.
  outcome<void> replace_device(std::unique_ptr<virtio::device> next, milliseconds limit);

  /// On return nothing touches the guest's memory, until resume. Its processors stand still
  /// meanwhile.
  outcome<void> pause(milliseconds limit);
  outcome<void> resume(milliseconds limit);

  /// The guest's RAM grew or moved: same addresses, new mapping.
  outcome<void> remap(std::shared_ptr<const memory::guest_memory> ram, milliseconds limit);

  /// Features and queues as they are now.
  [[nodiscard]] outcome<virtio::device_state> state(milliseconds limit) const;
  [[nodiscard]] outcome<session_stats> stats(milliseconds limit) const;

private:
  explicit session(std::shared_ptr<window> it) : window_(std::move(it)) {}

  outcome<void> connect(machine_port& machine, gpa base);

  std::shared_ptr<window> window_;
  std::vector<std::unique_ptr<connection>> doorbells_;
};

} // namespace troupe::mmio
