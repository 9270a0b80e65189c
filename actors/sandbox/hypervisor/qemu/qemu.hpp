#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"

namespace troupe::hypervisor::qemu {

/// A machine run by Debian's qemu-system-x86_64 (7.2 or newer). `watcher` outlives it. When the
/// last reference goes while the machine runs, the process is killed and reaped.
[[nodiscard]] std::shared_ptr<driver> make(fd_watcher& watcher, event_handler on_event);

} // namespace troupe::hypervisor::qemu
