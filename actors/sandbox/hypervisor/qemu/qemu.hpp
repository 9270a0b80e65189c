#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"

namespace troupe::hypervisor::qemu {

/// A machine run by Debian's qemu-system-x86_64 (7.2 or newer). `watcher` outlives it.
[[nodiscard]] std::unique_ptr<driver> make(fd_watcher& watcher, event_handler on_event);

} // namespace troupe::hypervisor::qemu
