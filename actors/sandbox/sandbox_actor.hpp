#pragma once

#include "actors/container/container_actor.hpp"
#include "actors/sandbox/sandbox_state.hpp"
#include "actors/supervision/reply_guard.hpp"
#include "messages/devices.hpp"
#include "messages/machine.hpp"

#include <map>
#include <memory>
#include <vector>

namespace troupe {

/// One container as its pod knows it.
struct container_entry {
  container_ref place;
  std::shared_ptr<container_ledger> ledger;
  actors::ref<actors::supervisor_actor> supervisor;
};

/// What outlives the actor of a pod.
struct sandbox_ledger {
  sandbox_state state;
  std::map<container_id, container_entry> containers{};
  std::uint32_t pid = 0;
};

struct sandbox_args {
  pod_ptr pod;
  std::shared_ptr<sandbox_ledger> ledger;
  sandbox_ref me;
  machine_ref machine;
  device_manager_ref devices;
  agent_ref agent;
  sharefs_ref sharefs;
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
