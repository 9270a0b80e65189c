#pragma once

#include "guest/agent/spec/plan.hpp"

#include "oci.pb.h"

namespace troupe::guest {

/// Most rules of a filter (system calls times argument sets): libseccomp keeps them all in memory
/// and sorts them.
inline constexpr std::size_t max_seccomp_rules = 16384;

/// Compiles a filter before anything is forked, so that a bad one fails CreateContainer and the
/// child only has to load it. An absent errno means EPERM: 0 would make a forbidden call succeed.
/// System calls this machine does not know are skipped, as every runtime does with newer profiles.
/// @returns invalid_argument that names the unknown action, architecture, flag or operator.
[[nodiscard]] outcome<seccomp_plan> to_seccomp_plan(const grpc::LinuxSeccomp& from);

} // namespace troupe::guest
