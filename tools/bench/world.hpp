#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <functional>
#include <string>

namespace troupe::bench {

/// What a measurement may use up. Nothing of it is left afterwards.
struct world {
  std::string folder; ///< for files; absolute, empty at first
  std::string name;   ///< of this run, fit for a containerd namespace
};

/// Runs `body` in process, network and mount namespaces of its own, with an empty /run, and returns
/// its exit status, or 128 + the number of what ended it. The kernel ends every process and mount
/// with the namespaces, however this ends; what it keeps (the folder, cgroups of the world's name)
/// is removed last, unless this process itself is killed with SIGKILL. SIGINT, SIGTERM and SIGHUP
/// are passed on to `body` once; the second one, or 30 s, kills it.
/// failed_precondition: not root; host_io. Call while single-threaded.
[[nodiscard]] outcome<int> in_own_world(const std::function<int(const world&)>& body);

} // namespace troupe::bench
