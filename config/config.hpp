#pragma once

#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// What an operator decides, as plain structs: every default stands here once, and nowhere else.
/// Members are named after their TOML keys (Kata's names where they mean the same); where a key's
/// name does not tell its unit, the member's name or type does. `docs/configuration.md` lists them.
namespace troupe::config {

/// One VMM: table `[hypervisor.qemu]`.
struct hypervisor_config {
  /// The VMM's binary.
  std::string path = "/usr/bin/qemu-system-x86_64";
  /// Globs of the binaries that a pod's annotation may choose; empty = none.
  std::vector<std::string> valid_hypervisor_paths;
  /// Guest kernel, ELF vmlinux.
  std::string kernel = "/usr/share/troupe/vmlinux";
  std::string initrd = "/usr/share/troupe/initrd.cpio";
  /// Globs of what an annotation may choose instead. A pod that could name any host file as its
  /// initrd would read it from inside.
  std::vector<std::string> valid_kernel_paths;
  std::vector<std::string> valid_initrd_paths;
  /// Appended to the kernel command line.
  std::string kernel_params;
  /// "q35" or "microvm".
  std::string machine_type = "q35";
  /// QEMU's name of a CPU model; empty = the host's with KVM, "max" without.
  std::string cpu_model;
  /// Appended to the model: "pmu=off,+x2apic".
  std::string cpu_features;
  std::uint32_t default_vcpus = 1;
  /// Most that an annotation may ask for; 0 = the host's CPUs.
  std::uint32_t default_maxvcpus = 0;
  std::uint32_t default_memory_mib = 2048;
  /// Most that an annotation may ask for; 0 = the host's memory.
  std::uint32_t default_maxmemory_mib = 0;
  /// Run guests without KVM where there is none that is usable. Slow, and no security boundary.
  bool allow_emulation = false;
  /// Regular expressions; an annotation `io.katacontainers.config.hypervisor.KEY` counts only if
  /// one of them matches the whole of KEY.
  std::vector<std::string> enable_annotations;
  /// More of the VMM's and the guest kernel's messages in our log.
  bool enable_debug = false;
};

/// One guest agent: tables `[agent.troupe]` and `[agent.kata]`.
struct agent_config {
  std::uint32_t server_port = 1024; ///< vsock port of its ttRPC server
  std::uint32_t log_port = 1025;    ///< vsock port of its log lines
  milliseconds dial_timeout{3000};  ///< dial_timeout_ms: one try to connect
  milliseconds reconnect_timeout{
      60'000}; ///< reconnect_timeout_ms: from VM start to the agent's answer
  seconds create_container_timeout{60};
  milliseconds request_timeout{
      30'000};                    ///< request_timeout_ms: any other request that does not wait
  std::string log_level = "info"; ///< trace, debug, info, warn, error
  bool enable_debug = false;      ///< log_level = "debug"
};

/// Table `[runtime]`.
struct runtime_config {
  /// "auto", "qemu" or "builtin".
  std::string hypervisor_name = "auto";
  /// Which agent the guest image holds: "troupe" or "kata".
  std::string agent_name = "troupe";
  std::string log_level = "info"; ///< trace, debug, info, warn, error
  bool enable_debug = false;      ///< log_level = "debug"
  /// Sockets, journals and logs of running pods, a folder each. A tmpfs that a reboot empties.
  std::string state_dir = "/run/troupe";
  /// Leave the container's seccomp profile out.
  bool disable_guest_seccomp = false;
  /// As in hypervisor_config, for `io.katacontainers.config.runtime.*` and `….agent.*`.
  std::vector<std::string> enable_annotations;
  milliseconds boot_timeout{30'000};   ///< boot_timeout_ms: the VMM is up and the CPUs run
  milliseconds stop_timeout{10'000};   ///< stop_timeout_ms: the machine's end, after it was asked
  milliseconds effect_timeout{10'000}; ///< effect_timeout_ms: one host effect: a mount, a spawn
  /// Faults for tests, in the language of `actors/supervision/fault_plan.hpp`; empty = none.
  std::string fault_plan;
};

/// Table `[budgets]`: what one machine may make the host hold.
struct budgets_config {
  std::uint32_t share_descriptors = 1000; ///< descriptors that the file server keeps open
  std::uint32_t share_threads = 1;        ///< threads that serve files
  std::uint32_t vsock_connections = 1024;
};

struct config {
  runtime_config runtime;
  hypervisor_config qemu;
  agent_config troupe_agent;
  agent_config kata_agent;
  budgets_config budgets;

  /// The table that runtime.agent_name chooses.
  [[nodiscard]] const agent_config& agent() const noexcept {
    return runtime.agent_name == "kata" ? kata_agent : troupe_agent;
  }
};

/// Level in effect: `enable_debug` beats `log_level`.
template <class Table>
[[nodiscard]] std::string effective_log_level(const Table& table) {
  return table.enable_debug ? "debug" : table.log_level;
}

} // namespace troupe::config
