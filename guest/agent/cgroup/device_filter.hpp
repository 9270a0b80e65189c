#pragma once

#include "guest/agent/spec/plan.hpp"

#include <linux/bpf.h>

#include <span>
#include <vector>

namespace troupe::guest {

/// The rules every container gets after its own: the harmless devices, terminals, and making (not
/// opening) nodes. Everything no rule allows is denied, so a container that makes a node of the
/// guest's own disk cannot open it.
[[nodiscard]] std::span<const device_rule> common_device_rules() noexcept;

/// A BPF_PROG_TYPE_CGROUP_DEVICE program that answers 1 (allow) or 0. The last rule that matches
/// the device and covers the whole access decides; without one the answer is 0. A rule that covers
/// only a part of the access denies what it covers and decides nothing when it allows.
[[nodiscard]] std::vector<bpf_insn> assemble_device_filter(std::span<const device_rule> rules);

/// Loads the program and attaches it to the cgroup behind the directory descriptor. It lives as
/// long as the cgroup. host_io when the kernel refuses.
[[nodiscard]] outcome<void> attach_device_filter(int cgroup_dir,
                                                 std::span<const device_rule> rules);

} // namespace troupe::guest
