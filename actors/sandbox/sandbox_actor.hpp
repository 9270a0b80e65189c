#pragma once

#include "actors/sandbox/pod/pod_context.hpp"
#include "actors/sandbox/sandbox_state.hpp"
#include "actors/supervision/reply_guard.hpp"
#include "actors/supervision/supervisor_actor.hpp"
#include "messages/agent.hpp"
#include "messages/devices.hpp"
#include "messages/machine.hpp"
#include "messages/sandbox.hpp"

#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace troupe {

/// A container's actors, made elsewhere: the pod knows the place, not what fills it.
struct container_tree {
  container_ref place;
  /// The supervisor of the container's own actors.
  actors::child_spec spec;
};

/// Name of a container's supervisor below its pod's. Ids hold no ':', so it cannot meet another
/// name.
[[nodiscard]] inline std::string container_tree_name(const container_id& id) {
  return "container:" + id.str();
}

/// Makes a container of this pod; `pid` is 0 and `machine_ready` false while the pod boots.
using container_maker = std::function<container_tree(const create_task& request, std::uint32_t pid,
                                                     bool machine_ready)>;

/// What outlives the actor of a pod.
struct sandbox_ledger {
  sandbox_state state;
  std::map<container_id, container_ref> containers{};
  std::uint32_t pid = 0;
};

struct sandbox_args {
  pod_ptr pod;
  std::shared_ptr<sandbox_ledger> ledger;
  sandbox_ref me;
  machine_ref machine;
  device_manager_ref devices;
  agent_ref agent;
  container_maker make_container;
  /// Of this pod's actors; containers are added to it.
  actors::ref<actors::supervisor_actor> supervisor;
};

struct sandbox_body {
  std::vector<task_call<create_task>> early; ///< until the settings are read
  std::vector<reply_box<bool>> shutdowns;
  std::vector<actors::reply_guard<void>> boots;
  bool busy = false; ///< a stage is on its way up or down
};

[[nodiscard]] sandbox_actor::behavior_type
run_sandbox(sandbox_actor::stateful_pointer<sandbox_body> self, sandbox_args args);

} // namespace troupe
