#pragma once

#include "guest/agent/spec/plan.hpp"

#include "oci.pb.h"

#include <string_view>

namespace troupe::guest {

/// Most arguments, environment variables, groups or limits of one process, and most mounts,
/// devices, paths or sysctls of one container. The frame already bounds the bytes; these bound the
/// work.
inline constexpr int max_spec_entries = 4096;

/// Checks a process and turns its names into numbers.
/// @returns invalid_argument that names the field; unimplemented for what no guest here can do.
[[nodiscard]] outcome<process_plan> to_process_plan(const grpc::Process& process);

/// The same for a whole container; `container` is its checked id. The seccomp program is not made
/// here (seccomp.hpp).
[[nodiscard]] outcome<container_plan> to_container_plan(const grpc::Spec& spec,
                                                        std::string_view container);

} // namespace troupe::guest
