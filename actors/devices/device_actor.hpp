#pragma once

#include "actors/devices/pod/device_parts.hpp"
#include "actors/devices/transport/link.hpp"
#include "actors/sandbox/pod/pod_context.hpp"
#include "actors/supervision/spawn.hpp"
#include "actors/supervision/supervisor_state.hpp"
#include "messages/devices.hpp"

#include <memory>
#include <vector>

namespace troupe {

/// What outlives the control actor: rings, memory and sockets stay with the session behind the
/// link, since QEMU never reconnects and our own guest knows of no restart.
struct device_ledger {
  /// Within QEMU's reach, or waiting for a machine of this process, or within its reach.
  bool attached = false;
  std::shared_ptr<transport::link> link;
  std::vector<journal::effect_id> effects;
};

struct device_args {
  pod_ptr pod;
  device_parts parts;
  std::shared_ptr<device_ledger> ledger;
  device_ref me;
};

struct device_body {};

[[nodiscard]] device_actor::behavior_type
run_device(device_actor::stateful_pointer<device_body> self, device_args args);

struct device_manager_args {
  pod_ptr pod;
  /// In the order in which they come up.
  std::vector<device_ref> devices;
};

struct device_manager_body {};

[[nodiscard]] device_manager_actor::behavior_type
run_device_manager(device_manager_actor::stateful_pointer<device_manager_body> self,
                   device_manager_args args);

} // namespace troupe
