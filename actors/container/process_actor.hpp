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

/// Opens the streams of a process; their end comes to `place` as output_drained.
/// invalid_argument names the stream.
[[nodiscard]] outcome<std::shared_ptr<stdio::stdio_pump>>
open_pump(const pod_context& pod, const process_ref& place, const process_key& key,
          const stdio_paths& io);

/// What outlives the actor of a process: its rules, its pump, what it was started with.
struct process_ledger {
  process_state state;
  /// Only of an exec.
  std::shared_ptr<const grpc::ExecProcessRequest> exec;
  /// Goes on copying while the actor is restarted. Absent after a start that failed: whoever reads
  /// the other ends waits for them to be closed.
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
