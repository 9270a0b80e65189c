#include "config/keys.hpp"

#include <algorithm>
#include <array>

namespace troupe::config {

namespace {

constexpr std::array<std::string_view, 5> log_levels{"trace", "debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 2> agent_names{"troupe", "kata"};
constexpr std::array<std::string_view, 2> machine_types{"q35", "microvm"};
constexpr std::array<std::string_view, 2> block_engines{"io_uring", "threads"};

/// No stage may be told to wait longer than this: a stop that takes an hour is a hang.
constexpr std::uint32_t longest_wait_ms = 600'000;
constexpr std::uint32_t longest_wait_s = longest_wait_ms / 1000;
/// QEMU's q35 takes 288 CPUs, one KVM machine without an IOMMU 255.
constexpr std::uint32_t most_vcpus = 255;
/// Below it the guest kernel cannot unpack its initrd; above it no host of ours has memory.
constexpr std::uint32_t least_memory_mib = 64;
constexpr std::uint32_t most_memory_mib = 16u << 20;
constexpr std::uint32_t last_port = 0xffffffffu - 1;

using R = runtime_config;
const key<R> runtime_table[] = {
    {.name = "hypervisor_name",
     .where = &R::hypervisor_name,
     .meaning = "`auto` (looks what the host can do and says what it chose), `qemu` or `builtin`",
     .rule = text_rule::choice,
     .choices = hypervisor_names,
     .annotation = true},
    {.name = "agent_name",
     .where = &R::agent_name,
     .meaning = "which agent the guest image holds: `troupe` or `kata`",
     .rule = text_rule::choice,
     .choices = agent_names},
    {.name = "log_level",
     .where = &R::log_level,
     .meaning = "least severe message that is logged",
     .rule = text_rule::choice,
     .choices = log_levels},
    {.name = "enable_debug",
     .where = &R::enable_debug,
     .meaning = "same as `log_level = \"debug\"`"},
    {.name = "state_dir",
     .where = &R::state_dir,
     .meaning = "sockets, journals and logs of running pods; a tmpfs that a reboot empties",
     .rule = text_rule::path},
    {.name = "disable_guest_seccomp",
     .where = &R::disable_guest_seccomp,
     .meaning = "leave the container's seccomp profile out",
     .annotation = true},
    {.name = "enable_annotations",
     .where = &R::enable_annotations,
     .meaning =
         "regular expressions of the runtime and agent keys that a pod's annotations may set",
     .rule = text_rule::patterns},
    {.name = "boot_timeout_ms",
     .where = &R::boot_timeout,
     .meaning = "until the VMM is up and the guest's CPUs run",
     .least = 100,
     .most = longest_wait_ms},
    {.name = "stop_timeout_ms",
     .where = &R::stop_timeout,
     .meaning = "until the machine has ended after it was asked to; then it is killed",
     .least = 100,
     .most = longest_wait_ms},
    {.name = "effect_timeout_ms",
     .where = &R::effect_timeout,
     .meaning = "one effect on the host: a mount, the start of a helper",
     .least = 100,
     .most = longest_wait_ms},
    {.name = "fault_plan",
     .where = &R::fault_plan,
     .meaning = "faults to play for tests; empty = none"},
};

using H = hypervisor_config;

/// A key of one hypervisor's table or of both.
struct hypervisor_row {
  bool qemu;
  bool builtin;
  key<H> row;
};

constexpr hypervisor_row of_both(const key<H>& row) {
  return {true, true, row};
}
constexpr hypervisor_row of_qemu(const key<H>& row) {
  return {true, false, row};
}
constexpr hypervisor_row of_builtin(const key<H>& row) {
  return {false, true, row};
}

constexpr hypervisor_row hypervisor_rows[] = {
    of_qemu({.name = "path",
             .where = &H::path,
             .meaning = "the VMM's binary",
             .rule = text_rule::path,
             .valid_paths = &H::valid_hypervisor_paths,
             .annotation = true}),
    of_qemu({.name = "valid_hypervisor_paths",
             .where = &H::valid_hypervisor_paths,
             .meaning = "globs of the binaries that an annotation `path` may name",
             .rule = text_rule::globs}),
    of_qemu({.name = "kernel",
             .where = &H::kernel,
             .meaning = "guest kernel, an ELF `vmlinux`",
             .rule = text_rule::path,
             .valid_paths = &H::valid_kernel_paths,
             .annotation = true}),
    of_builtin({.name = "kernel",
                .where = &H::kernel,
                .meaning = "guest kernel, an ELF `vmlinux` or a `bzImage`",
                .rule = text_rule::path,
                .valid_paths = &H::valid_kernel_paths,
                .annotation = true}),
    of_both({.name = "initrd",
             .where = &H::initrd,
             .meaning = "guest image, a cpio archive with the agent as `/init`",
             .rule = text_rule::path,
             .valid_paths = &H::valid_initrd_paths,
             .annotation = true}),
    of_both({.name = "valid_kernel_paths",
             .where = &H::valid_kernel_paths,
             .meaning = "globs of the files that an annotation `kernel` may name",
             .rule = text_rule::globs}),
    of_both({.name = "valid_initrd_paths",
             .where = &H::valid_initrd_paths,
             .meaning = "globs of the files that an annotation `initrd` may name",
             .rule = text_rule::globs}),
    of_both({.name = "kernel_params",
             .where = &H::kernel_params,
             .meaning = "appended to the guest kernel's command line; an annotation adds to it",
             .annotation = true}),
    of_qemu({.name = "machine_type",
             .where = &H::machine_type,
             .meaning = "`q35` or `microvm`",
             .rule = text_rule::choice,
             .choices = machine_types,
             .annotation = true}),
    of_qemu({.name = "cpu_model",
             .where = &H::cpu_model,
             .meaning = "QEMU's name of a CPU model; empty = `host` with KVM, `max` without",
             .rule = text_rule::words}),
    of_qemu({.name = "cpu_features",
             .where = &H::cpu_features,
             .meaning = "appended to the CPU model: `pmu=off,+x2apic`",
             .rule = text_rule::words,
             .annotation = true}),
    of_both({.name = "default_vcpus",
             .where = &H::default_vcpus,
             .meaning = "CPUs of a machine",
             .least = 1,
             .most = most_vcpus,
             .annotation = true}),
    of_both({.name = "default_maxvcpus",
             .where = &H::default_maxvcpus,
             .meaning = "most CPUs that an annotation may ask for; 0 = as many as the host has",
             .most = most_vcpus}),
    of_both({.name = "default_memory",
             .where = &H::default_memory_mib,
             .meaning = "memory of a machine in MiB",
             .least = least_memory_mib,
             .most = most_memory_mib,
             .annotation = true}),
    of_both({.name = "default_maxmemory",
             .where = &H::default_maxmemory_mib,
             .meaning =
                 "most memory in MiB that an annotation may ask for; 0 = as much as the host has",
             .most = most_memory_mib}),
    of_builtin({.name = "enable_hugepages",
                .where = &H::enable_hugepages,
                .meaning =
                    "guest memory from the host's pool of 2 MiB pages, which must hold enough; "
                    "`default_memory` is then even",
                .annotation = true}),
    of_builtin(
        {.name = "enable_mem_prealloc",
         .where = &H::enable_mem_prealloc,
         .meaning = "all of the guest's memory is there before it runs; a start takes longer",
         .annotation = true}),
    of_builtin(
        {.name = "block_device_aio",
         .where = &H::block_device_aio,
         .meaning =
             "how disks are read and written: `io_uring` (`threads` where the kernel refuses "
             "it) or `threads`",
         .rule = text_rule::choice,
         .choices = block_engines}),
    of_qemu(
        {.name = "allow_emulation",
         .where = &H::allow_emulation,
         .meaning = "run without KVM where there is none to use; slow, and no security boundary"}),
    of_builtin({.name = "allow_emulation",
                .where = &H::allow_emulation,
                .meaning =
                    "run on a KVM that emulates the guest's kernel; slow, and the kernel must be "
                    "`vmlinux-emulated`"}),
    of_both({.name = "enable_annotations",
             .where = &H::enable_annotations,
             .meaning =
                 "regular expressions of the keys of this table that a pod's annotations may set",
             .rule = text_rule::patterns}),
    of_both({.name = "enable_debug",
             .where = &H::enable_debug,
             .meaning = "more messages of the VMM and the guest kernel in the log"}),
};

template <bool hypervisor_row::*Table>
consteval auto table_of() {
  constexpr auto size = std::ranges::count(hypervisor_rows, true, Table);
  std::array<key<H>, static_cast<std::size_t>(size)> rows{};
  auto to = rows.begin();
  for (const auto& each : hypervisor_rows)
    if (each.*Table)
      *to++ = each.row;
  return rows;
}

constexpr auto qemu_table = table_of<&hypervisor_row::qemu>();
constexpr auto builtin_table = table_of<&hypervisor_row::builtin>();

using A = agent_config;
const key<A> agent_table[] = {
    {.name = "server_port",
     .where = &A::server_port,
     .meaning = "vsock port of the agent's server",
     .least = 1,
     .most = last_port},
    {.name = "log_port",
     .where = &A::log_port,
     .meaning = "vsock port of the agent's log",
     .least = 1,
     .most = last_port},
    {.name = "dial_timeout_ms",
     .where = &A::dial_timeout,
     .meaning = "one try to connect",
     .least = 1,
     .most = longest_wait_ms},
    {.name = "reconnect_timeout_ms",
     .where = &A::reconnect_timeout,
     .meaning = "from the machine's start until the agent has answered",
     .least = 1,
     .most = longest_wait_ms},
    {.name = "create_container_timeout",
     .where = &A::create_container_timeout,
     .meaning = "seconds for the guest to make a container",
     .least = 1,
     .most = longest_wait_s,
     .annotation = true},
    {.name = "request_timeout_ms",
     .where = &A::request_timeout,
     .meaning = "any other request that does not wait for a process",
     .least = 1,
     .most = longest_wait_ms},
    {.name = "log_level",
     .where = &A::log_level,
     .meaning = "least severe message that the agent sends",
     .rule = text_rule::choice,
     .choices = log_levels},
    {.name = "enable_debug",
     .where = &A::enable_debug,
     .meaning = "same as `log_level = \"debug\"`"},
};

using B = budgets_config;
const key<B> budgets_table[] = {
    {.name = "share_descriptors",
     .where = &B::share_descriptors,
     .meaning = "files that one machine's file server keeps open at a time",
     .least = 64,
     .most = 500'000},
    {.name = "share_threads",
     .where = &B::share_threads,
     .meaning = "threads of one machine's file server",
     .least = 1,
     .most = 16},
    {.name = "vsock_connections",
     .where = &B::vsock_connections,
     .meaning = "vsock connections of one machine at a time",
     .least = 16,
     .most = 65'536},
};

} // namespace

std::span<const key<R>> runtime_keys() noexcept {
  return runtime_table;
}
std::span<const key<H>> qemu_keys() noexcept {
  return qemu_table;
}
std::span<const key<H>> builtin_keys() noexcept {
  return builtin_table;
}
std::span<const key<A>> agent_keys() noexcept {
  return agent_table;
}
std::span<const key<B>> budgets_keys() noexcept {
  return budgets_table;
}

} // namespace troupe::config
