#pragma once

#include "actors/sandbox/hypervisor/machine_config.hpp"
#include "actors/sandbox/hypervisor/qemu/qmp_client.hpp"

/// Devices and processors that come and go while the machine runs (q35 only).
namespace troupe::hypervisor::qemu {

/// Makes the backend and plugs the device into a root port. Undoes the backend when QEMU refuses
/// the device. Failures of qmp_client::execute.
[[nodiscard]] outcome<void> plug(qmp_client& qmp, const device& what, const std::string& port,
                                 time_point deadline);

/// Removes the backend of a device that the guest has released.
[[nodiscard]] outcome<void> drop_backend(qmp_client& qmp, const device& what, time_point deadline);

/// Tells the guest that the file behind a block device has another size now.
[[nodiscard]] outcome<void> resize_block(qmp_client& qmp, const block_device& what,
                                         time_point deadline);

/// One slot of query-hotpluggable-cpus.
struct cpu_slot {
  std::string type;
  nlohmann::json properties;
  /// Where the processor sits in QEMU's object tree; empty: a free slot.
  std::string path;
};
/// In the order of their numbers. peer_fault: not the shape it should be.
[[nodiscard]] outcome<std::vector<cpu_slot>> cpu_slots(const nlohmann::json& answer);

/// Name of a processor plugged into slot `index`.
[[nodiscard]] std::string cpu_id(std::size_t index);

} // namespace troupe::hypervisor::qemu
