#pragma once

#include "actors/devices/virtio/queue.hpp"
#include "actors/devices/worker.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace troupe::virtio {

/// Device ids of VIRTIO 1.2, section 5.
enum class device_type : std::uint32_t {
  net = 1,
  blk = 2,
  console = 3,
  rng = 4,
  vsock = 19,
  fs = 26
};

/// Feature bits that belong to the ring and the transport, not to a device.
inline constexpr std::uint64_t feature_indirect = 1ULL << 28;
inline constexpr std::uint64_t feature_event_index = 1ULL << 29;
inline constexpr std::uint64_t feature_version_1 = 1ULL << 32;

/// What a device offers besides its own bits. The transport adds them.
inline constexpr std::uint64_t ring_features =
    feature_indirect | feature_event_index | feature_version_1;

/// What a device is given when the driver is ready.
struct activation {
  /// Acknowledged bits, a subset of what was offered.
  std::uint64_t features = 0;
  std::shared_ptr<const memory::guest_memory> memory;
  /// One per queue of the device; null where the driver set none up. Owned by the transport and
  /// lent until reset returns.
  std::vector<queue*> queues;
  /// The thread that calls this device, and on which it may watch descriptors and timers.
  devices::worker* loop = nullptr;
  /// For failures found outside process(). Any thread. The transport stops the device.
  std::function<void(failure)> failed;
  /// Changes configuration space: runs its argument while no driver reads, then tells the driver.
  /// Any thread; the argument must be short and must not throw.
  std::function<void(const std::function<void()>&)> change_config;
};

/// Whether a device left work behind because its budget was spent.
enum class progress : std::uint8_t { idle, more };

/// Running sums for stats; written by the device, read by anyone.
struct device_counters {
  std::atomic<std::uint64_t> chains = 0;
  std::atomic<std::uint64_t> bytes = 0;
  std::atomic<std::uint64_t> errors = 0;
};

/// Version of device_state; a reader refuses others.
inline constexpr std::uint32_t device_state_version = 1;

/// A device at rest, without pointers: for the ledger, pause, snapshot and vhost-user alike.
struct device_state {
  std::uint32_t version = device_state_version;
  device_type type = device_type::net;
  std::uint64_t features = 0;
  /// One per queue; size 0 where the driver set none up.
  std::vector<queue_state> queues;

  friend bool operator==(const device_state&, const device_state&) = default;
};

/// A virtio device, written once for every transport (mmio to our own guest, vhost-user to QEMU).
///
/// Thread rule: the transport calls activate, process, pause, resume and reset on activation::loop
/// only; identity, features and read_config from any thread. A device with threads of its own hands
/// process() over to them and joins them in pause and reset.
///
/// The guest's lies come back as guest_fault: the transport then resets the device, tells the
/// driver (needs-reset) and everything else lives on. An exception is caught by the transport,
/// which stops the device and reports; its owner may then put a new one in place, over the same
/// queues: chains in flight are popped again with a higher `attempts`. A device answers poisoned
/// chains with an error.
class device {
public:
  virtual ~device() = default;

  [[nodiscard]] virtual device_type type() const noexcept = 0;
  /// For logs: "vsock".
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// The largest ring of each queue, powers of two; its length is the number of queues.
  [[nodiscard]] virtual std::span<const std::uint16_t> queue_sizes() const noexcept = 0;
  /// Bits of the device itself, without `ring_features`.
  [[nodiscard]] virtual std::uint64_t features() const noexcept = 0;

  /// Reads configuration space; bytes behind its end are zero. `offset` and size are the driver's.
  virtual void read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept = 0;
  /// Writes configuration space; guest_fault where it is read-only.
  [[nodiscard]] virtual outcome<void> write_config(std::uint32_t offset,
                                                   std::span<const std::byte> from) {
    return fail(errc::guest_fault, "{}: write of {} bytes to configuration at {}", name(),
                from.size(), offset);
  }

  /// The driver is ready. A failure leaves the device as after reset.
  [[nodiscard]] virtual outcome<void> activate(activation with) = 0;

  /// The driver kicked queue `index`, or process() said `more` before. Does a bounded amount.
  [[nodiscard]] virtual outcome<progress> process(std::size_t index) = 0;

  /// On return nothing touches queues or memory any more; what the device holds stays.
  virtual void pause() noexcept = 0;
  /// Goes on after pause, over possibly new memory (same queues, rebound).
  [[nodiscard]] virtual outcome<void>
  resume(std::shared_ptr<const memory::guest_memory> memory) = 0;

  /// Back to before activate: on return nothing touches queues or memory, and requests that were
  /// taken are either completed or left in flight.
  virtual void reset() noexcept = 0;

  [[nodiscard]] const device_counters& counters() const noexcept { return counters_; }

protected:
  device_counters counters_;
};

/// Copies the part of a configuration structure that [offset, offset + into.size()) names; zero
/// behind its end.
void copy_config(std::span<const std::byte> space, std::uint32_t offset,
                 std::span<std::byte> into) noexcept;

} // namespace troupe::virtio
