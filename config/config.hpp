#pragma once

#include "messages/vocabulary/units.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What an operator decides, as plain structs: every default stands here once, and nowhere else.
/// Members are named after their TOML keys (Kata's names where they mean the same); where a key's
/// name does not tell its unit, the member's name or type does. `docs/configuration.md` lists them.
namespace troupe::config {

/// What runtime.hypervisor_name may be.
inline constexpr std::array<std::string_view, 3> hypervisor_names{"auto", "qemu", "builtin"};

/// One VMM: tables `[hypervisor.qemu]` and `[hypervisor.builtin]`. A table has the keys that mean
/// something to its VMM (keys.hpp); the other members keep their defaults.
struct hypervisor_config {
  /// The VMM's binary. QEMU's alone.
  std::string path = "/usr/bin/qemu-system-x86_64";
  /// Globs of the binaries that a pod's annotation may choose; empty = none. QEMU's alone.
  std::vector<std::string> valid_hypervisor_paths;
  /// Guest kernel, ELF vmlinux; the built-in VMM also takes a bzImage.
  std::string kernel = "/usr/share/troupe/vmlinux";
  std::string initrd = "/usr/share/troupe/initrd.cpio";
  /// Globs of what an annotation may choose instead. A pod that could name any host file as its
  /// initrd would read it from inside.
  std::vector<std::string> valid_kernel_paths;
  std::vector<std::string> valid_initrd_paths;
  /// Appended to the kernel command line.
  std::string kernel_params;
  /// "q35" or "microvm". QEMU's alone.
  std::string machine_type = "q35";
  /// QEMU's name of a CPU model; empty = the host's with KVM, "max" without. QEMU's alone.
  std::string cpu_model;
  /// Appended to the model: "pmu=off,+x2apic". QEMU's alone.
  std::string cpu_features;
  std::uint32_t default_vcpus = 1;
  /// Most that an annotation may ask for; 0 = the host's CPUs.
  std::uint32_t default_maxvcpus = 0;
  std::uint32_t default_memory_mib = 2048;
  /// Most that an annotation may ask for; 0 = the host's memory.
  std::uint32_t default_maxmemory_mib = 0;
  /// Guest memory from the host's pool of 2 MiB pages. The built-in VMM's alone, like the next two.
  bool enable_hugepages = false;
  /// All of the guest's memory is there before it runs.
  bool enable_mem_prealloc = false;
  /// How disks are read and written: "io_uring" (threads where the kernel refuses it) or "threads".
  std::string block_device_aio = "io_uring";
  /// Run guests where there is no KVM at hardware speed: QEMU without KVM, the built-in VMM on a
  /// KVM that emulates. Slow; the former is no security boundary.
  bool allow_emulation = false;
  /// Regular expressions; an annotation `io.katacontainers.config.hypervisor.KEY` counts for this
  /// table only if one of them matches the whole of KEY.
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
  /// One of hypervisor_names.
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
  hypervisor_config builtin;
  agent_config troupe_agent;
  agent_config kata_agent;
  budgets_config budgets;

  /// The table of a hypervisor that was chosen: "builtin" or "qemu".
  [[nodiscard]] const hypervisor_config& hypervisor(std::string_view name) const noexcept {
    return name == "builtin" ? builtin : qemu;
  }

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
