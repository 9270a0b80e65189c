#pragma once

#include "guest/agent/cgroup/cgroup.hpp"
#include "guest/agent/launch/sync.hpp"
#include "guest/agent/spec/plan.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <sys/types.h>

namespace troupe::guest {

/// Everything a new process is made of. Borrowed: only read until launch() returns.
struct launch_request {
  const process_plan* process = nullptr;
  const seccomp_plan* seccomp = nullptr;
  /// Capabilities of a process that names none.
  capability_sets fallback;
  const cgroup* group = nullptr;
  /// The container to make, or null: join the one of `init_pidfd`.
  const container_plan* container = nullptr;
  int init_pidfd = -1;
  /// That container's "/".
  int root = -1;
  /// Namespaces of the sandbox to join instead of making new ones; -1 for none.
  int pid_namespace = -1;
  int ipc_namespace = -1;
  int uts_namespace = -1;
  /// Size of the stream pipes, 0 for the kernel's.
  std::uint32_t pipe_bytes = 0;
};

/// A forked process on its way. Its streams are non-blocking; with a terminal they come later, as
/// one descriptor, in its ready message.
struct launched {
  pid_t pid = -1;
  unique_fd pidfd;
  /// Of a new container.
  unique_fd mount_namespace;
  unique_fd sync;
  unique_fd input;
  unique_fd output;
  unique_fd error;
};

/// Forks a process that sets itself up and parks (sync.hpp). It is a child of the agent. Blocks
/// only for the fork. From a thread that may change its own namespaces for a moment: not the main
/// one. The caller reaps it, whatever becomes of it.
[[nodiscard]] outcome<launched> launch(const launch_request& request);

} // namespace troupe::guest
