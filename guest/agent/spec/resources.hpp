#pragma once

#include "guest/agent/spec/plan.hpp"

#include "oci.pb.h"

#include <cstdint>
#include <vector>

namespace troupe::guest {

/// cpu.weight (1 ... 10000) for cpu.shares (2 ... 262144) of cgroup v1; out of range is clamped.
[[nodiscard]] std::uint64_t cpu_weight(std::uint64_t shares) noexcept;

/// io.weight (1 ... 10000) for blkio.weight (10 ... 1000).
[[nodiscard]] std::uint64_t io_weight(std::uint32_t weight) noexcept;

/// Writes for the limits of `resources`, in the order to make them. A limit of 0 is unset, -1 is
/// "max". Swap arrives as memory plus swap, cgroup v2 wants swap alone.
/// @returns invalid_argument that names the field.
[[nodiscard]] outcome<std::vector<cgroup_write>>
cgroup_writes(const grpc::LinuxResources& resources);

/// The device list, in the order given.
[[nodiscard]] outcome<std::vector<device_rule>> device_rules(const grpc::LinuxResources& resources);

} // namespace troupe::guest
