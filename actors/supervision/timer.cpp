#include "actors/supervision/timer.hpp"

#include "actors/supervision/system.hpp"

#include <caf/actor_clock.hpp>
#include <caf/sec.hpp>

#include <algorithm>

namespace troupe::actors {

time_point now(const caf::scheduled_actor* self) {
  return self->clock().now();
}

wall_time wall_now(const caf::scheduled_actor* self) {
  return options_of(self->system()).wall_clock();
}

// A timer is a request that nobody answers: its time-out is the call. So no actor needs messages
// for its timers in its protocol, and CAF's clock can forget them, which it cannot for delayed
// messages.
timer after(caf::scheduled_actor* self, milliseconds delay, std::function<void()> due) {
  timer made;
  made.id_ = self->new_request_id(caf::message_priority::normal).response_id();
  made.set_ = std::make_shared<bool>(true);
  self->add_multiplexed_response_handler(
      made.id_, caf::behavior{[set = made.set_, due = std::move(due)](caf::error&) {
        if (std::exchange(*set, false))
          due();
      }});
  const auto when = self->clock().now() + std::max(delay, milliseconds{1});
  self->clock().set_request_timeout(when, self, made.id_);
  return made;
}

void cancel(caf::scheduled_actor* self, timer& which) {
  if (which.set_ == nullptr || !std::exchange(*which.set_, false))
    return;
  self->clock().cancel_request_timeout(self, which.id_);
  // Takes the handler out; after a time-out there is none and the message is dropped.
  self->eq_impl(which.id_, self->ctrl(), self->context(), caf::make_error(caf::sec::none));
}

} // namespace troupe::actors
