#pragma once

#include "actors/container/container_state.hpp"
#include "actors/container/process_actor.hpp"
#include "actors/supervision/supervisor_actor.hpp"
#include "messages/sandbox.hpp"
#include "messages/sharefs.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace troupe {

/// One process of a container: its place and what outlives its actor.
struct process_entry {
  process_ref place;
  std::shared_ptr<process_ledger> ledger;
};

/// What outlives the actor of a container.
struct container_ledger {
  container_state state;
  /// From `prepared` on, until it has been handed over.
  prepare::prepared_container prepared{};
  bool machine_ready = false;
  /// Why its create failed; what a create that waits is answered.
  std::optional<failure> broken{};
  std::optional<process_entry> init{};
  /// The init on its way: its streams are open, the guest does not have it yet.
  std::optional<process_entry> unborn{};
  /// What the init last said of itself.
  lifecycle::process_phase init_phase = lifecycle::process_phase::created;
  std::map<exec_id, process_entry> execs{};
  /// What a delete answers when the way down is done.
  deleted_process last_words{};
};

struct container_args {
  pod_ptr pod;
  std::shared_ptr<container_ledger> ledger;
  container_ref me;
  sandbox_ref owner;
  agent_ref agent;
  sharefs_ref sharefs;
  /// Of this container's own actors.
  actors::ref<actors::supervisor_actor> supervisor;
};

struct container_body {
  std::vector<reply_box<task_pid>> creators;
  std::vector<reply_box<deleted_process>> removers;
  /// Commands for an init that does not exist yet.
  std::vector<std::function<void(const process_ref&)>> early;
  /// A step up or down is under way.
  bool busy = false;
};

[[nodiscard]] container_actor::behavior_type
run_container(container_actor::stateful_pointer<container_body> self, container_args args);

} // namespace troupe
