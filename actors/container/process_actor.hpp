#pragma once

#include "actors/supervision/spawn.hpp"
#include "actors/container/io/stdio_pump.hpp"
#include "actors/container/process_state.hpp"
#include "actors/sandbox/pod/pod_context.hpp"
#include "messages/agent.hpp"
#include "messages/container.hpp"

#include <memory>
#include <vector>

namespace troupe {

/// What outlives the actor of a process: its rules, its pump, what it was started with.
struct process_ledger {
  process_state state;
  /// Only of an exec.
  std::shared_ptr<const grpc::ExecProcessRequest> exec;
  /// Goes on copying while the actor is restarted.
  std::shared_ptr<stdio::stdio_pump> pump;
  /// The agent answers for an exit as often as it is asked.
  bool keeps_exit = false;
};

struct process_args {
  pod_ptr pod;
  std::shared_ptr<process_ledger> ledger;
  process_ref me;
  container_ref owner;
  agent_ref agent;
};

/// Most callers that wait for one process: each is a call held open.
inline constexpr std::size_t max_waiters = 1024;

/// What is lost with the actor; dropping the boxes answers `restarting`.
struct process_body {
  std::vector<reply_box<exit_record>> waiters;
  std::vector<reply_box<task_pid>> starters;
};

[[nodiscard]] process_actor::behavior_type
run_process(process_actor::stateful_pointer<process_body> self, process_args args);

} // namespace troupe
