#include "actors/supervision/ask.hpp"

#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <caf/sec.hpp>

#include <algorithm>

namespace troupe::actors::detail {

void wait::close() const {
  self->clock().cancel_request_timeout(self, id);
}

failure wait::explain(const caf::error& why) const {
  if (why == caf::sec::request_timeout)
    return {errc::deadline_exceeded,
            fmt::format("{}: {} gave no answer within {} ms", stage, path, patience.count()), 0};
  auto reason = from_caf(why);
  reason.text = fmt::format("{}: {}: {}", stage, path, reason.text);
  return reason;
}

void open(wait& pending, const caf::strong_actor_ptr& to, caf::message message) {
  pending.patience = std::clamp(pending.patience, milliseconds{1}, max_patience);
  auto* self = pending.self;
  const auto request = self->new_request_id(caf::message_priority::normal);
  pending.id = request.response_id();
  if (to == nullptr) {
    self->eq_impl(pending.id, self->ctrl(), self->context(),
                  to_caf({errc::restarting, "is being restarted", 0}));
    return;
  }
  to->enqueue(self->ctrl(), request, std::move(message), self->context());
  self->clock().set_request_timeout(self->clock().now() + pending.patience, self, pending.id);
}

} // namespace troupe::actors::detail
