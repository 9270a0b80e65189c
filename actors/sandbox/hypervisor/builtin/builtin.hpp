#pragma once

#include "actors/devices/transport/mmio/board.hpp"
#include "actors/sandbox/hypervisor/hypervisor.hpp"

#include <memory>

namespace troupe::hypervisor::builtin {

/// A machine within this process, on KVM. Its devices are those of `devices` at start(), each in a
/// window of its own; the list in machine_config tells only where the agent is reached.
///
/// What is not there yet answers unimplemented: save, resize, and devices that come or go later.
[[nodiscard]] std::shared_ptr<driver> make(std::shared_ptr<const mmio::board> devices,
                                           event_handler on_event);

} // namespace troupe::hypervisor::builtin
