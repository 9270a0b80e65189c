#pragma once

#include "actors/agent/agent_client.hpp"
#include "actors/agent/log_forwarder.hpp"
#include "actors/sandbox/pod/pod_context.hpp"
#include "actors/supervision/spawn.hpp"
#include "messages/agent.hpp"
#include "messages/sandbox.hpp"

#include <memory>
#include <optional>

namespace troupe {

/// The connection itself: it outlives the actor, since re-dialling would lose calls in flight.
struct agent_ledger {
  std::shared_ptr<agent::agent_client> client;
  agent::agent_features features;
  std::optional<agent::log_forwarder> log;
};

struct agent_args {
  pod_ptr pod;
  std::shared_ptr<agent_ledger> ledger;
  agent_ref me;
  sandbox_ref owner;
};

struct agent_body {
  agent_body() = default;
  bool probing = false; ///< it is being asked whether it lives
};

[[nodiscard]] agent_actor::behavior_type run_agent(agent_actor::stateful_pointer<agent_body> self,
                                                   agent_args args);

} // namespace troupe
