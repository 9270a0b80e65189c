#pragma once

#include "guest/agent/launch/launch.hpp"

namespace troupe::guest {

/// The child's ends.
struct child_ends {
  int sync = -1;
  int input = -1;
  int output = -1;
  int error = -1;
};

/// The whole life of a forked child up to its program: descriptors, cgroup, namespaces, root,
/// terminal, credentials, park, exec. Any failure is reported and ends it.
[[noreturn]] void run_child(const launch_request& request, const child_ends& ends) noexcept;

} // namespace troupe::guest
