#pragma once

#include "actors/sandbox/hypervisor/machine_config.hpp"
#include "actors/sandbox/hypervisor/probe/probe.hpp"
#include "config/config.hpp"
#include "messages/vocabulary/ids.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// A raw image or a block device of the host that a machine has as a virtio disk: the guest's
/// /dev/vda and on, in their order.
struct machine_disk {
  std::string path;
  bool read_only = false;
  /// What the guest reads as the disk's serial, at most 20 word characters; empty: none.
  std::string serial;
};

/// Windows and slots of a machine are few, and some are the pod's own devices'.
inline constexpr std::size_t max_disks = 8;

/// Names beneath a pod's folder.
inline constexpr const char* agent_socket_file = "vsock";
[[nodiscard]] inline std::string socket_file(std::string_view device) {
  return std::string{device} += ".vhost";
}

/// Where one pod's machine lives on the host, and what is particular to it.
struct machine_place {
  sandbox_id id;
  std::string directory; ///< of the pod, mode 0700
  std::string token;     ///< marks its processes
  std::string share_tag; ///< by which the guest mounts the share root
  /// The kernel is all that runs; see hypervisor::machine_config.
  bool bare = false;
  std::vector<machine_disk> disks;

  /// Where the worker of a device answers a VMM of its own process.
  [[nodiscard]] std::string device_socket(std::string_view device) const {
    return directory + "/" + socket_file(device);
  }
  /// Where we reach the guest: hybrid vsock.
  [[nodiscard]] std::string agent_socket() const { return directory + "/" + agent_socket_file; }
};

/// What the configuration says about the choice of a hypervisor.
[[nodiscard]] hypervisor::wishes hypervisor_wishes(const config::config& values);

/// The name of a machine's disk, by its place among them: "disk0".
[[nodiscard]] std::string disk_name(std::size_t index);

/// The machine that a configuration asks for, with one vsock, one share, one entropy source and the
/// place's disks, by the table of the hypervisor that was chosen. Pure. failed_precondition: KVM
/// emulates, and its clock is unknown.
[[nodiscard]] outcome<hypervisor::machine_config> plan_machine(const config::config& values,
                                                               const hypervisor::choice& chosen,
                                                               const machine_place& place);

} // namespace troupe
