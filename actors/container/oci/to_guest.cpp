#include "actors/container/oci/to_guest.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

namespace troupe::oci {

namespace {

/// Mounts of one container. Each shared one pins a descriptor on the host.
constexpr int max_mounts = 1024;

constexpr std::string_view kind_annotation = "io.katacontainers.pkg.oci.container_type";
constexpr std::string_view bundle_annotation = "io.katacontainers.pkg.oci.bundle_path";

/// File systems that a guest kernel makes out of nothing.
constexpr std::array<std::string_view, 12> guest_types{"proc",      "sysfs",  "tmpfs",   "ramfs",
                                                       "devpts",    "mqueue", "cgroup",  "cgroup2",
                                                       "hugetlbfs", "bpf",    "debugfs", "tracefs"};

/// Character devices whose numbers mean the same in every Linux: null, zero, full, random, urandom,
/// tty, console, ptmx, the ptys, fuse, tun.
struct device_number {
  std::int64_t major = 0;
  std::int64_t minor = 0;
};
constexpr std::int64_t any = -1;
constexpr device_number common_devices[] = {{1, 3}, {1, 5}, {1, 7},     {1, 8},    {1, 9},   {5, 0},
                                            {5, 1}, {5, 2}, {136, any}, {10, 229}, {10, 200}};

bool is_common(std::int64_t major, std::int64_t minor) {
  return std::ranges::any_of(common_devices, [&](const device_number& each) {
    return each.major == major && (each.minor == any || each.minor == minor);
  });
}

/// A rule that denies, or allows what every guest has: everything, or a common device.
bool fits_guest(const grpc::LinuxDeviceCgroup& rule) {
  return !rule.allow() || rule.type() == "a" || rule.major() == any ||
         (rule.type() == "c" && is_common(rule.major(), rule.minor()));
}

bool has_option(const grpc::Mount& mount, std::string_view option) {
  return std::ranges::find(mount.options(), option) != mount.options().end();
}

/// runc's rule: the type says it or an option does.
bool is_bind(const grpc::Mount& mount) {
  return mount.type() == "bind" || has_option(mount, "bind") || has_option(mount, "rbind");
}

bool is_below(std::string_view path, std::string_view folder) {
  return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

/// Kernel interfaces: the guest's own are meant, never the host's.
bool is_kernel_path(std::string_view path) {
  return is_below(path, "/proc") || is_below(path, "/sys") ||
         (is_below(path, "/dev") && !is_below(path, "/dev/shm"));
}

/// The rewrite of one spec; every step changes `out`.
class rewriter {
public:
  rewriter(grpc::Spec spec, const guest_options& options) : options_(options) {
    out_.spec = std::move(spec);
  }

  outcome<guest_container> run() {
    TRY(mounts());
    TRY(namespaces());
    *out_.spec.mutable_process() = to_guest(std::move(*out_.spec.mutable_process()));
    resources();
    devices();
    hooks();
    auto& linux = *out_.spec.mutable_linux();
    linux.set_cgroups_path("/" + options_.container.str());
    linux.clear_mount_label();
    linux.clear_intel_rdt();
    if (options_.disable_guest_seccomp)
      linux.clear_seccomp();
    out_.spec.mutable_root()->set_path(
        fmt::format("{}/{}", guest_share_dir, rootfs_name(options_.container)));
    annotate();
    return std::move(out_);
  }

private:
  template <class... Args>
  void note(fmt::format_string<Args...> text, Args&&... args) {
    out_.notes.push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  outcome<void> mounts() {
    auto& all = *out_.spec.mutable_mounts();
    if (all.size() > max_mounts)
      return fail(errc::invalid_argument, "mounts: more than {} entries", max_mounts);
    for (int i = 0; i < all.size(); ++i)
      TRY(mount(i, all[i]));
    return {};
  }

  outcome<void> mount(int index, grpc::Mount& mount) {
    const auto field = fmt::format("mounts[{}] ({})", index, mount.destination());
    if (is_bind(mount))
      return bind(index, field, mount);
    if (std::ranges::find(guest_types, mount.type()) == guest_types.end())
      return fail(errc::unimplemented, "{}: type \"{}\" cannot be mounted in the guest", field,
                  mount.type());
    return {};
  }

  outcome<void> bind(int index, const std::string& field, grpc::Mount& mount) {
    if (mount.source().empty())
      return fail(errc::invalid_argument, "{}: source must not be empty", field);
    if (mount.destination() == "/dev/shm") {
      mount.set_source(std::string(guest_shm_dir));
      out_.uses_sandbox_shm = true;
      return {};
    }
    const auto source =
        (std::filesystem::path(options_.bundle) / mount.source()).lexically_normal();
    if (is_kernel_path(source.native())) {
      mount.set_source(source);
      return {};
    }
    share_request request;
    request.field = field;
    request.source = source;
    request.name = fmt::format("{}/mounts/{}", options_.container, index);
    request.read_only = has_option(mount, "ro") || has_option(mount, "rro");
    request.recursive = has_option(mount, "rbind");
    mount.set_type("bind");
    mount.set_source(fmt::format("{}/{}", guest_share_dir, request.name));
    out_.shares.push_back(std::move(request));
    return {};
  }

  outcome<void> namespaces() {
    auto& linux = *out_.spec.mutable_linux();
    google::protobuf::RepeatedPtrField<grpc::LinuxNamespace> kept;
    bool has_mount = false;
    for (const auto& each : linux.namespaces()) {
      if (each.type() == "pid" && !each.path().empty())
        out_.sandbox_pidns = true;
      if (each.type() == "pid" || each.type() == "network" || each.type() == "time")
        continue;
      if (each.type() == "user" && (linux.uid_mappings().empty() || linux.gid_mappings().empty()))
        return fail(errc::invalid_argument,
                    "linux.uidMappings: a user namespace needs uid and gid mappings");
      has_mount = has_mount || each.type() == "mount";
      kept.Add()->set_type(each.type());
    }
    if (!has_mount)
      kept.Add()->set_type("mount");
    *linux.mutable_namespaces() = std::move(kept);
    return {};
  }

  void resources() {
    auto& linux = *out_.spec.mutable_linux();
    if (!linux.has_resources())
      return;
    for (const auto& rule : linux.resources().devices())
      if (!fits_guest(rule))
        note("linux.resources.devices: rule {} {}:{} names a host device and is left out",
             rule.type(), rule.major(), rule.minor());
    *linux.mutable_resources() = to_guest(std::move(*linux.mutable_resources()));
  }

  void devices() {
    auto& linux = *out_.spec.mutable_linux();
    google::protobuf::RepeatedPtrField<grpc::LinuxDevice> kept;
    for (const auto& device : linux.devices())
      if (device.type() == "p" ||
          (device.type() != "b" && is_common(device.major(), device.minor())))
        *kept.Add() = device;
      else
        note("linux.devices: {} is a device of the host and is left out", device.path());
    *linux.mutable_devices() = std::move(kept);
  }

  void hooks() {
    if (!out_.spec.has_hooks())
      return;
    auto& hooks = *out_.spec.mutable_hooks();
    const auto dropped = hooks.prestart_size() + hooks.create_runtime_size() +
                         hooks.create_container_size() + hooks.poststart_size() +
                         hooks.poststop_size();
    if (dropped > 0)
      note("hooks: {} that would run on the host are left out", dropped);
    auto in_guest = std::move(*hooks.mutable_start_container());
    hooks.Clear();
    *hooks.mutable_start_container() = std::move(in_guest);
    if (hooks.start_container().empty())
      out_.spec.clear_hooks();
  }

  void annotate() {
    auto& annotations = *out_.spec.mutable_annotations();
    annotations[std::string(kind_annotation)] = std::string(name(options_.kind));
    annotations[std::string(bundle_annotation)] = options_.bundle;
  }

  const guest_options& options_;
  guest_container out_;
};

} // namespace

std::string rootfs_name(const container_id& container) {
  return fmt::format("{}/rootfs", container);
}

outcome<guest_container> to_guest(grpc::Spec spec, const guest_options& options) {
  return rewriter(std::move(spec), options).run();
}

grpc::Process to_guest(grpc::Process process) {
  process.clear_apparmor_profile();
  process.clear_selinux_label();
  return process;
}

grpc::LinuxResources to_guest(grpc::LinuxResources limits) {
  limits.clear_block_io();
  limits.clear_network();
  if (limits.has_cpu()) {
    limits.mutable_cpu()->clear_cpus();
    limits.mutable_cpu()->clear_mems();
  }
  google::protobuf::RepeatedPtrField<grpc::LinuxDeviceCgroup> kept;
  for (const auto& rule : limits.devices())
    if (fits_guest(rule))
      *kept.Add() = rule;
  *limits.mutable_devices() = std::move(kept);
  return limits;
}

} // namespace troupe::oci
