#include "actors/supervision/callback.hpp"

#include <caf/actor_control_block.hpp>
#include <caf/make_message.hpp>

namespace troupe::actors::detail {

std::function<void()> expect_wakeup(caf::scheduled_actor* self, std::function<void()> handler) {
  const auto id = self->new_request_id(caf::message_priority::normal).response_id();
  self->add_multiplexed_response_handler(
      id, caf::behavior{[handler = std::move(handler)] { handler(); }});
  return [me = caf::strong_actor_ptr{self->ctrl()}, id] {
    me->enqueue(nullptr, id, caf::make_message(), nullptr);
  };
}

} // namespace troupe::actors::detail
