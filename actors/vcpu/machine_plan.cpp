#include "actors/vcpu/machine_plan.hpp"

namespace troupe {
namespace {

/// What the guest agent reads from its command line.
std::string agent_parameters(const config::config& values) {
  const auto& agent = values.agent();
  return fmt::format("agent.log={} agent.log_vport={}", config::effective_log_level(agent),
                     agent.log_port);
}

} // namespace

hypervisor::machine_config plan_machine(const config::config& values,
                                        const hypervisor::choice& chosen,
                                        const machine_place& place) {
  hypervisor::machine_config out;
  out.id = place.id.str();
  out.token = place.token;
  out.run_directory = place.directory;
  out.binary = values.qemu.path;
  out.kernel = values.qemu.kernel;
  out.initrd = values.qemu.initrd;
  out.kernel_params = agent_parameters(values);
  if (!values.qemu.kernel_params.empty())
    out.kernel_params += " " + values.qemu.kernel_params;
  out.machine_type = values.qemu.machine_type;
  out.cpu_model = values.qemu.cpu_model;
  if (!values.qemu.cpu_features.empty() && !out.cpu_model.empty())
    out.cpu_model += "," + values.qemu.cpu_features;
  out.accel = chosen.accel;
  out.vcpus = values.qemu.default_vcpus;
  out.memory = mib(values.qemu.default_memory_mib);
  hypervisor::vsock_device vsock;
  vsock.socket_path = place.sockets.vsock;
  out.devices.emplace_back(vsock);
  hypervisor::fs_device fs;
  fs.socket_path = place.sockets.fs;
  fs.tag = place.share_tag;
  out.devices.emplace_back(fs);
  return out;
}

} // namespace troupe
