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

/// Stops the guest between two instructions, and its devices: what it has and what it asked for
/// stays as it is. Answered when it stands; a machine that stands already is a success. Whoever
/// asks something of the guest waits meanwhile. failed_precondition: it does not run; machine_gone;
/// deadline_exceeded names what does not stand: then all goes on.
struct pause_machine {
  request_context context;
};
/// Lets it go on. As pause_machine.
struct resume_machine {
  request_context context;
};

/// The hypervisor reports, from its own thread.
struct machine_news {
  hypervisor::machine_event what;
};

using machine_actor =
    actors::protocol<actors::request<start_machine, machine_info>,
                     actors::request<stop_machine, void>, actors::request<pause_machine, void>,
                     actors::request<resume_machine, void>, actors::notice<machine_news>>;
using machine_ref = actors::ref<machine_actor>;

} // namespace troupe

TROUPE_LOCAL_MESSAGE(troupe::machine_info)
TROUPE_LOCAL_MESSAGE(troupe::start_machine)
TROUPE_LOCAL_MESSAGE(troupe::stop_machine)
TROUPE_LOCAL_MESSAGE(troupe::pause_machine)
TROUPE_LOCAL_MESSAGE(troupe::resume_machine)
TROUPE_LOCAL_MESSAGE(troupe::machine_news)
