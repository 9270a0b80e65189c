#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/supervision/protocol.hpp"
#include "actors/supervision/ref.hpp"
#include "messages/vocabulary/request_context.hpp"

namespace troupe {

/// A machine that runs.
struct machine_info {
  /// Host pid that stands for the pod's processes.
  std::uint32_t pid = 0;
};

/// Chooses a hypervisor, checks the configuration and runs the guest. Answered when it runs; asking
/// a running machine again answers the same. invalid_argument or not_found name a configuration
/// key; failed_precondition: no hypervisor fits this host, and why; machine_gone: it has ended
/// already.
struct start_machine {
  request_context context;
};

/// Ends it. A machine that never ran or has ended is a success.
struct stop_machine {
  request_context context;
};

/// The hypervisor reports, from its own thread.
struct machine_news {
  hypervisor::machine_event what;
};

using machine_actor =
    actors::protocol<actors::request<start_machine, machine_info>,
                     actors::request<stop_machine, void>, actors::notice<machine_news>>;
using machine_ref = actors::ref<machine_actor>;

} // namespace troupe

TROUPE_LOCAL_MESSAGE(troupe::machine_info)
TROUPE_LOCAL_MESSAGE(troupe::start_machine)
TROUPE_LOCAL_MESSAGE(troupe::stop_machine)
TROUPE_LOCAL_MESSAGE(troupe::machine_news)
