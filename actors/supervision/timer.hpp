#pragma once

#include "messages/vocabulary/units.hpp"

#include <caf/message_id.hpp>
#include <caf/scheduled_actor.hpp>

#include <functional>
#include <memory>

namespace troupe::actors {

/// The time of deadlines: virtual on the deterministic scheduler. Rules get it as an argument.
[[nodiscard]] time_point now(const caf::scheduled_actor* self);

/// The time people read; virtual in tests. From the system's host.
[[nodiscard]] wall_time wall_now(const caf::scheduled_actor* self);

/// A call that is due later. Belongs to the actor that made it; gone with it. Destroying a timer
/// does not cancel it.
class timer {
public:
  timer() = default;

private:
  friend timer after(caf::scheduled_actor*, milliseconds, std::function<void()>);
  friend void cancel(caf::scheduled_actor*, timer&);
  caf::message_id id_;
  /// Shared with the call: the time-out may be on its way already when it is cancelled.
  std::shared_ptr<bool> set_;
};

/// Calls `due` as a message of `self` after `delay` (at least 1 ms). From within the actor only.
[[nodiscard]] timer after(caf::scheduled_actor* self, milliseconds delay,
                          std::function<void()> due);

/// The call does not happen any more. Harmless when it has, or twice.
void cancel(caf::scheduled_actor* self, timer& which);

} // namespace troupe::actors
