#pragma once

#include "actors/devices/virtio/device.hpp"
#include "actors/devices/worker.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace troupe::vhost_user {

/// What happened to a session, as its owner is told.
enum class session_event : std::uint8_t {
  connected,    ///< A front-end (QEMU) took the socket.
  activated,    ///< The guest's driver runs the device.
  failed,       ///< The device was stopped; the failure tells by whose fault.
  disconnected, ///< The front-end is gone; the socket waits for another one.
};

/// Running sums since the start.
struct session_stats {
  std::uint64_t messages = 0;
  std::uint64_t kicks = 0;
  /// Of the present device.
  std::uint64_t chains = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
};

/// Serves one device to one vhost-user front-end at a time. Listener, connection, memory table and
/// rings live here and outlive the device logic, which can be replaced while the guest runs.
///
/// Owned by a device's control actor; every call from any thread but the worker's. The work itself
/// is done on the worker, because QEMU waits for answers synchronously.
class session {
public:
  /// Called on the worker's thread; must not block or call back into the session.
  using observer = std::function<void(session_event, const std::optional<failure>&)>;

  /// Starts to serve. `listener` is listening already, so that QEMU may be started next; see
  /// devices::listen_unix. `loop` outlives the session.
  [[nodiscard]] static outcome<std::unique_ptr<session>>
  start(unique_fd listener, std::unique_ptr<virtio::device> device, devices::worker& loop,
        observer tell);

  session(const session&) = delete;
  session& operator=(const session&) = delete;
  /// stop() with a default deadline.
  ~session();

  /// Stops device and sockets; on success nothing of them is left. After deadline_exceeded the
  /// worker hangs in a handler; what is left goes as soon as it comes back.
  outcome<void> stop(milliseconds limit);

  /// Puts new logic over the same rings, at once and in the middle of traffic.
  outcome<void> replace_device(std::unique_ptr<virtio::device> next, milliseconds limit);

  /// Features and queues as they are now.
  [[nodiscard]] outcome<virtio::device_state> state(milliseconds limit) const;

  [[nodiscard]] outcome<session_stats> stats(milliseconds limit) const;

private:
  class core;
  explicit session(std::shared_ptr<core> it) : core_(std::move(it)) {}

  std::shared_ptr<core> core_;
};

} // namespace troupe::vhost_user
