#include "actors/vcpu/machine_plan.hpp"

#include "actors/vcpu/kernel_params.hpp"

#include <algorithm>

namespace troupe {
namespace {

/// What the guest agent reads from its command line.
std::string agent_parameters(const config::config& values) {
  const auto& agent = values.agent();
  return fmt::format("agent.log={} agent.log_vport={}", config::effective_log_level(agent),
                     agent.log_port);
}

/// Ours first, so that the operator's win.
outcome<std::string> kernel_parameters(const config::config& values,
                                       const hypervisor::choice& chosen, bool with_agent) {
  const auto kind = chosen.emulated_kvm ? kvm_kind::emulating : kvm_kind::hardware;
  auto line = with_agent ? agent_parameters(values) : std::string{};
  for (const auto& words : {TRY(kernel_params_for(kind, chosen.tsc_khz)),
                            values.hypervisor(chosen.hypervisor).kernel_params})
    if (!words.empty())
      line.append(line.empty() ? "" : " ").append(words);
  return line;
}

/// What every hypervisor must know.
void plan_guest(hypervisor::machine_config& out, const config::hypervisor_config& table) {
  out.kernel = table.kernel;
  out.initrd = table.initrd;
  out.vcpus = table.default_vcpus;
  out.memory = mib(table.default_memory_mib);
}

void plan_qemu(hypervisor::machine_config& out, const config::hypervisor_config& table) {
  out.binary = table.path;
  out.machine_type = table.machine_type;
  out.cpu_model = table.cpu_model;
  out.cpu_features = table.cpu_features;
}

/// Where KVM emulates, machines do not grow: room for processors that never come costs the kernel
/// there time at every boot. Elsewhere what the operator named is room for resize(); more than a
/// kernel of ours takes is none.
void plan_builtin(hypervisor::machine_config& out, const config::hypervisor_config& table) {
  if (!out.emulated_kvm && table.default_maxvcpus > table.default_vcpus)
    out.max_vcpus = std::min(table.default_maxvcpus, hypervisor::max_vcpus_per_machine);
  out.hugepages = table.enable_hugepages;
  out.prealloc = table.enable_mem_prealloc;
}

void plan_devices(hypervisor::machine_config& out, const machine_place& place) {
  hypervisor::vsock_device vsock;
  vsock.socket_path = place.device_socket("vsock");
  out.devices.emplace_back(vsock);
  hypervisor::fs_device fs;
  fs.socket_path = place.device_socket("fs");
  fs.tag = place.share_tag;
  out.devices.emplace_back(fs);
  using kind = hypervisor::served_device::kind;
  out.devices.emplace_back(hypervisor::served_device{kind::rng, "rng", place.device_socket("rng")});
  for (std::size_t i = 0; i < place.disks.size(); ++i)
    out.devices.emplace_back(
        hypervisor::served_device{kind::blk, disk_name(i), place.device_socket(disk_name(i))});
}

} // namespace

std::string disk_name(std::size_t index) {
  return fmt::format("disk{}", index);
}

hypervisor::wishes hypervisor_wishes(const config::config& values) {
  return {values.runtime.hypervisor_name, values.qemu.allow_emulation,
          values.builtin.allow_emulation};
}

outcome<hypervisor::machine_config> plan_machine(const config::config& values,
                                                 const hypervisor::choice& chosen,
                                                 const machine_place& place) {
  const auto& table = values.hypervisor(chosen.hypervisor);
  hypervisor::machine_config out;
  out.id = place.id.str();
  out.token = place.token;
  out.run_directory = place.directory;
  out.accel = chosen.accel;
  out.emulated_kvm = chosen.emulated_kvm;
  out.bare = place.bare;
  out.kernel_params = TRY(kernel_parameters(values, chosen, !place.bare));
  out.verbose = table.enable_debug;
  plan_guest(out, table);
  if (chosen.hypervisor == hypervisor::builtin_name)
    plan_builtin(out, table);
  else
    plan_qemu(out, table);
  plan_devices(out, place);
  return out;
}

} // namespace troupe
