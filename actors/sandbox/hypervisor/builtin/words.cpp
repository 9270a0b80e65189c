#include "actors/sandbox/hypervisor/builtin/words.hpp"

#include <algorithm>

namespace troupe::hypervisor::builtin {
namespace {

end_reason reason_of(vcpu::machine_end why) noexcept {
  switch (why) {
  case vcpu::machine_end::asked:
    return end_reason::stopped;
  case vcpu::machine_end::power_off:
  case vcpu::machine_end::exit_code:
    return end_reason::guest_shutdown;
  case vcpu::machine_end::reset:
  case vcpu::machine_end::fault:
    return end_reason::guest_reset;
  case vcpu::machine_end::panic:
    return end_reason::guest_panic;
  case vcpu::machine_end::failed:
    return end_reason::failed;
  }
  return end_reason::failed;
}

} // namespace

vcpu::machine_order order_for(const machine_config& config, std::uint32_t devices) {
  vcpu::machine_order out;
  out.name = config.id;
  out.memory = config.memory;
  out.pages = config.hugepages ? memory::page_kind::hugetlb : memory::page_kind::ordinary;
  out.prealloc = config.prealloc;
  out.vcpus = config.vcpus;
  out.max_vcpus = std::max(config.vcpus, config.max_vcpus);
  out.windows = devices;
  out.exit_port = config.bare;
  // The kernel for emulating KVMs does without ACPI, whose interpreter costs it seconds.
  out.discovery =
      config.emulated_kvm ? boot::discovery::mp_table_and_command_line : boot::discovery::acpi;
  return out;
}

vcpu::payload payload_for(const machine_config& config) {
  std::string line = "panic=-1 oops=panic reboot=k cryptomgr.notests";
  if (!config.verbose)
    line += " quiet";
  if (config.console)
    line += " console=ttyS0";
  if (!config.kernel_params.empty())
    line += " " + config.kernel_params;
  return {config.kernel, config.initrd, std::move(line)};
}

exit_info exit_of(const vcpu::ending& how) {
  exit_info out;
  out.reason = reason_of(how.why);
  out.status = how.why == vcpu::machine_end::exit_code ? static_cast<int>(how.code) : 0;
  out.text = how.why == vcpu::machine_end::asked ? std::string{"stopped"}
                                                 : fmt::format("{}: {}", name(how.why), how.text);
  return out;
}

} // namespace troupe::hypervisor::builtin
