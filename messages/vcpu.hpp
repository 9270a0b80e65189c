#pragma once

#include "actors/supervision/protocol.hpp"
#include "actors/supervision/ref.hpp"
#include "actors/vcpu/run/control.hpp"
#include "messages/vocabulary/request_context.hpp"

#include <cstdint>
#include <string>

namespace troupe {

/// A virtual processor as it is now.
struct vcpu_report {
  std::uint32_t id = 0;
  vcpu::phase where = vcpu::phase::created;
  /// Why it parked or ended; empty before.
  std::string why;
  std::uint64_t exits = 0;
  std::uint64_t port_accesses = 0;
  std::uint64_t memory_accesses = 0;
  std::uint64_t kicks = 0;
};

/// machine_gone: its machine is no more.
struct describe_vcpu {
  request_context context;
};

/// Stops it between two instructions. Answered when it stands; once it stands, at once.
/// deadline_exceeded; machine_gone: it will not run again.
struct pause_vcpu {
  request_context context;
};
/// Lets it run again. machine_gone.
struct resume_vcpu {
  request_context context;
};

/// Its thread tells.
struct vcpu_moved {
  vcpu::phase where = vcpu::phase::created;
};

/// Control of one virtual processor. Its thread, registers and exits are not here: they go on
/// whatever becomes of the actor.
using vcpu_actor =
    actors::protocol<actors::request<describe_vcpu, vcpu_report>, actors::request<pause_vcpu, void>,
                     actors::request<resume_vcpu, void>, actors::notice<vcpu_moved>>;
using vcpu_ref = actors::ref<vcpu_actor>;

} // namespace troupe

TROUPE_LOCAL_MESSAGE(troupe::vcpu_report)
TROUPE_LOCAL_MESSAGE(troupe::describe_vcpu)
TROUPE_LOCAL_MESSAGE(troupe::pause_vcpu)
TROUPE_LOCAL_MESSAGE(troupe::resume_vcpu)
TROUPE_LOCAL_MESSAGE(troupe::vcpu_moved)
