#pragma once

#include "actors/supervision/spawn.hpp"
#include "actors/sandbox/pod/pod_context.hpp"
#include "actors/sharefs/fuse/session.hpp"
#include "messages/sharefs.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace troupe {

/// What outlives the actor of a pod's shares. The session is the device's as well; it is
/// thread-safe.
struct sharefs_ledger {
  std::shared_ptr<fuse::session> session;
  /// The names each container has in the share root.
  std::map<container_id, std::vector<std::string>> names;
};

struct sharefs_args {
  pod_ptr pod;
  std::shared_ptr<sharefs_ledger> ledger;
  sharefs_ref me;
};

struct sharefs_body {};

[[nodiscard]] sharefs_actor::behavior_type
run_sharefs(sharefs_actor::stateful_pointer<sharefs_body> self, sharefs_args args);

} // namespace troupe
