#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/sandbox/hypervisor/qemu/argv.hpp"

#include <string_view>

/// What this hypervisor needs to know of the host's files.
namespace troupe::hypervisor::qemu {

/// From /proc/cpuinfo; a rate of 0 when it is not told.
[[nodiscard]] host_facts read_host_facts();
/// "cpu MHz : 2595.124" of the first processor, in kHz; 0 when there is none.
[[nodiscard]] std::uint32_t parse_tsc_khz(std::string_view cpuinfo);

/// Whether program, kernel, initrd, folder and /dev/kvm are there and what they should be.
/// not_found or invalid_argument with the configuration key; failed_precondition for /dev/kvm.
[[nodiscard]] outcome<void> check_files(const machine_config& config);

/// CPU time, resident memory and threads of a process. machine_gone: there is no such process.
[[nodiscard]] outcome<machine_metrics> read_usage(pid_t pid);

} // namespace troupe::hypervisor::qemu
