#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <string>

namespace troupe::guest {

/// What process 1 of the guest does before it serves anybody.

/// Leaves the initramfs as root: containers need pivot_root, which refuses a root that is the first
/// mount of the namespace. A copy of the agent in a tmpfs and a second exec would do, for 3 MB and
/// its page faults; here the initramfs is mounted over itself, read-only, which costs four system
/// calls and keeps nobody in. See docs/decisions/0006-the-guests-root.md.
[[nodiscard]] outcome<void> enter_own_root();

/// proc, sysfs, devtmpfs, shm, devpts, run, tmp and cgroup v2. A file system the kernel lacks is
/// logged and left out, except for proc, dev and run, without which nothing works.
[[nodiscard]] outcome<void> mount_system();

/// Loopback up, host name, PATH; each failure is only logged.
void settle_system();

/// The kernel's command line; empty when it cannot be read.
[[nodiscard]] std::string read_cmdline();

/// Writes everything back and turns the machine off. Process 1 must never exit: the kernel panics.
[[noreturn]] void power_off();

/// Keeps the agent out of reach of the kernel's out-of-memory killer; children set their own value.
void shield_from_oom();

} // namespace troupe::guest
