#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/sandbox/pod/pod_context.hpp"
#include "actors/supervision/reply_guard.hpp"
#include "actors/supervision/spawn.hpp"
#include "actors/supervision/supervisor_actor.hpp"
#include "actors/vcpu/machine_launch.hpp"
#include "messages/machine.hpp"
#include "messages/sandbox.hpp"
#include "messages/vcpu.hpp"

#include <memory>
#include <vector>

namespace troupe {

/// What outlives the actor of a machine. The driver is used on fx workers as well: it is
/// thread-safe.
struct machine_ledger {
  machine_launch launch;
  /// Once it has been launched.
  std::shared_ptr<hypervisor::driver> driver;
  machine_info info;
  bool running = false;
  /// Its end was told.
  bool ended = false;
  /// Of a machine in this process.
  std::vector<vcpu_ref> vcpus;
};

struct machine_args {
  pod_ptr pod;
  std::shared_ptr<machine_ledger> ledger;
  machine_ref me;
  sandbox_ref owner;
  /// Of the machine's actors; virtual processors are added to it.
  actors::ref<actors::supervisor_actor> supervisor;
  /// Makes a driver for the hypervisor of that name; its events come as machine_news.
  std::function<std::shared_ptr<hypervisor::driver>(const std::string&, hypervisor::event_handler)>
      make_driver;
};

struct machine_body {
  std::vector<actors::reply_guard<machine_info>> starters;
};

[[nodiscard]] machine_actor::behavior_type
run_machine(machine_actor::stateful_pointer<machine_body> self, machine_args args);

} // namespace troupe
