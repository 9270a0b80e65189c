#pragma once

#include "actors/sandbox/hypervisor/machine_config.hpp"
#include "actors/sandbox/hypervisor/probe/probe.hpp"
#include "config/config.hpp"
#include "messages/vocabulary/ids.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <string>

namespace troupe {

/// The sockets at which the device workers of one pod answer.
struct device_sockets {
  std::string vsock; ///< vhost-user, for the VMM
  std::string fs;    ///< vhost-user, for the VMM
  std::string agent; ///< hybrid vsock, for us
};

/// Where one pod's machine lives on the host.
struct machine_place {
  sandbox_id id;
  std::string directory; ///< of the pod, mode 0700
  std::string token;     ///< marks its processes
  device_sockets sockets;
  std::string share_tag; ///< by which the guest mounts the share root
};

/// What the configuration says about the choice of a hypervisor.
[[nodiscard]] hypervisor::wishes hypervisor_wishes(const config::config& values);

/// The machine that a configuration asks for, with one vsock and one share, by the table of the
/// hypervisor that was chosen. Pure. failed_precondition: KVM emulates, and its clock is unknown.
[[nodiscard]] outcome<hypervisor::machine_config> plan_machine(const config::config& values,
                                                               const hypervisor::choice& chosen,
                                                               const machine_place& place);

} // namespace troupe
