#include "config/keys.hpp"

#include <algorithm>

namespace troupe::config {

namespace {

constexpr foreign_key foreign_hypervisor[] = {
    {"image", "use initrd"},
    {"firmware", ""},
    {"seccompsandbox", "the VMM's seccomp filter is always on"},
    {"seccomp_sandbox", "the VMM's seccomp filter is always on"},
    {"hypervisor_loglevel", "renamed: enable_debug"},
    {"log_level", "use enable_debug"},
    {"factory", ""},
    {"guest_extension_images", ""},
    {"default_bridges", ""},
    {"default_gpus", ""},
    {"hot_plug_vfio", ""},
    {"cold_plug_vfio", ""},
    {"pcie_root_port", ""},
    {"pcie_switch_port", ""},
    {"memory_slots", ""},
    {"memory_offset", ""},
    {"enable_virtio_mem", ""},
    {"enable_mem_prealloc", ""},
    {"enable_hugepages", ""},
    {"hugepage_type", ""},
    {"enable_guest_swap", ""},
    {"enable_iommu", ""},
    {"enable_iommu_platform", ""},
    {"enable_iothreads", ""},
    {"indep_iothreads", ""},
    {"machine_accelerators", ""},
    {"pflashes", ""},
    {"entropy_source", ""},
    {"rootfs_type", ""},
    {"vm_rootfs_driver", ""},
    {"kernel_verity_params", ""},
    {"overhead_vcpus", ""},
    {"overhead_memory", ""},
    {"reclaim_guest_freed_memory", ""},
    {"block_device_driver", ""},
    {"block_device_aio", ""},
    {"block_device_cache_set", ""},
    {"block_device_cache_direct", ""},
    {"block_device_cache_noflush", ""},
    {"disable_block_device_use", ""},
    {"disable_image_nvdimm", ""},
    {"queue_size", ""},
    {"num_queues", ""},
    {"enable_vhost_user_store", ""},
    {"vhost_user_store_path", ""},
    {"shared_fs", "files are always shared by our own virtio-fs server"},
    {"virtio_fs_daemon", "files are always shared by our own virtio-fs server"},
    {"valid_virtio_fs_daemon_paths", "files are always shared by our own virtio-fs server"},
    {"virtio_fs_extra_args", "files are always shared by our own virtio-fs server"},
    {"virtio_fs_cache", "a container's own tree is cached, what the host may change is not"},
    {"virtio_fs_cache_size", ""},
    {"virtio_fs_is_dax", ""},
    {"virtio_fs_queue_size", ""},
    {"disable_vhost_net", ""},
    {"network_queues", ""},
    {"rx_rate_limiter_max_rate", ""},
    {"tx_rate_limiter_max_rate", ""},
    {"rootless", ""},
    {"disable_seccomp", "the VMM's seccomp filter is always on"},
    {"disable_selinux", ""},
    {"disable_guest_selinux", ""},
    {"disable_nesting_checks", ""},
    {"confidential_guest", ""},
    {"sev_snp_guest", ""},
    {"guest_hook_path", ""},
    {"ctlpath", ""},
    {"valid_ctlpaths", ""},
    {"jailer_path", ""},
    {"valid_jailer_paths", ""},
    {"valid_entropy_sources", ""},
    {"extra_monitor_socket", ""},
    {"initdata", ""},
};

/// Of the built-in VMM's table alone; looked up before the list above.
constexpr foreign_key foreign_builtin[] = {
    {"path", "the VMM is part of the shim; there is no program to name"},
    {"valid_hypervisor_paths", "the VMM is part of the shim; there is no program to name"},
    {"machine_type", "there is one kind of machine"},
    {"cpu_model", "the guest sees the processor that KVM offers"},
    {"cpu_features", "the guest sees the processor that KVM offers"},
    {"seccompsandbox", "for QEMU only"},
    {"seccomp_sandbox", "for QEMU only"},
    {"disable_seccomp", ""},
};

constexpr foreign_key foreign_agent[] = {
    {"enable_tracing", ""},
    {"debug_console_enabled", ""},
    {"kernel_modules", ""},
    {"container_pipe_size", ""},
    {"passfd_listener_port", ""},
    {"health_check_request_timeout_ms", "use request_timeout_ms"},
    {"dial_timeout", "renamed: dial_timeout_ms"},
    {"reconnect_timeout", "renamed: reconnect_timeout_ms"},
    {"cdh_api_timeout_ms", ""},
    {"cdh_api_timeout", ""},
    {"launch_process_timeout", ""},
    {"mem_agent", ""},
    {"visible_cdi_devices", ""},
    {"policy", ""},
};

constexpr foreign_key foreign_runtime[] = {
    {"name", "there is one kind of pod: a virtual machine"},
    {"internetworking_model", ""},
    {"disable_new_netns", ""},
    {"sandbox_cgroup_only", ""},
    {"enable_vcpus_pinning", ""},
    {"enable_tracing", ""},
    {"jaeger_endpoint", ""},
    {"jaeger_user", ""},
    {"jaeger_password", ""},
    {"enable_pprof", ""},
    {"keep_abnormal", ""},
    {"static_sandbox_resource_mgmt", ""},
    {"sandbox_bind_mounts", ""},
    {"vfio_mode", ""},
    {"emptydir_mode", ""},
    {"experimental", ""},
    {"dan_conf", ""},
    {"shared_mounts", ""},
    {"use_passfd_io", ""},
    {"passfd_listener_port", ""},
    {"pod_resource_api_sock", ""},
    {"create_container_timeout", "moved: agent.troupe.create_container_timeout"},
};

using foreign_keys = std::span<const foreign_key>;

foreign_keys keys_foreign_to(table_kind table) noexcept {
  switch (table) {
  case table_kind::runtime:
    return foreign_runtime;
  case table_kind::qemu:
  case table_kind::builtin:
    return foreign_hypervisor;
  case table_kind::agent:
    return foreign_agent;
  case table_kind::budgets:
    break;
  }
  return {};
}

std::optional<foreign_key> find_in(foreign_keys rows, std::string_view name) noexcept {
  const auto row = std::ranges::find(rows, name, &foreign_key::name);
  if (row == rows.end())
    return std::nullopt;
  return *row;
}

} // namespace

std::optional<foreign_key> find_foreign(table_kind table, std::string_view name) noexcept {
  if (table == table_kind::builtin)
    if (const auto row = find_in(foreign_builtin, name))
      return row;
  return find_in(keys_foreign_to(table), name);
}

} // namespace troupe::config
