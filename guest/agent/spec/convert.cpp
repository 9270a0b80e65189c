#include "guest/agent/spec/convert.hpp"

#include "guest/agent/spec/paths.hpp"
#include "guest/agent/spec/resources.hpp"

#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

namespace troupe::guest {
namespace {

using std::string_view;
using strings = google::protobuf::RepeatedPtrField<std::string>;

outcome<void> check_count(string_view field, int count) {
  if (count > max_spec_entries)
    return fail(errc::invalid_argument, "{}: {}, at most {} are allowed", field, count,
                max_spec_entries);
  return {};
}

/// execve would cut a string at a NUL, and a check before it would see another string.
outcome<std::vector<std::string>> take_strings(string_view field, const strings& list) {
  TRY(check_count(field, list.size()));
  for (const auto& text : list)
    if (text.find('\0') != std::string::npos)
      return fail(errc::invalid_argument, "{}: one holds a NUL byte", field);
  return std::vector<std::string>{list.begin(), list.end()};
}

outcome<capability_mask> take_capabilities(string_view set, const strings& list) {
  TRY(check_count(set, list.size()));
  capability_mask mask = 0;
  for (const auto& name : list) {
    const auto number = parse_capability(name);
    if (!number)
      return within(fmt::format("process.capabilities.{}", set), number.error());
    mask |= capability_mask{1} << *number;
  }
  return mask;
}

outcome<capability_sets> take_all_capabilities(const grpc::LinuxCapabilities& from) {
  capability_sets sets;
  sets.bounding = TRY(take_capabilities("bounding", from.bounding()));
  sets.effective = TRY(take_capabilities("effective", from.effective()));
  sets.inheritable = TRY(take_capabilities("inheritable", from.inheritable()));
  sets.permitted = TRY(take_capabilities("permitted", from.permitted()));
  sets.ambient = TRY(take_capabilities("ambient", from.ambient()));
  return sets;
}

constexpr std::array<std::pair<string_view, int>, 16> rlimit_names{{
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
}};

outcome<rlimit_plan> take_rlimit(const grpc::POSIXRlimit& from) {
  for (const auto& [name, resource] : rlimit_names)
    if (name == from.type()) {
      if (from.soft() > from.hard())
        return fail(errc::invalid_argument, "process.rlimits: {}: soft {} is above hard {}", name,
                    from.soft(), from.hard());
      return rlimit_plan{resource, {from.soft(), from.hard()}};
    }
  return fail(errc::invalid_argument, "process.rlimits: unknown limit '{}'",
              from.type().substr(0, 64));
}

outcome<void> take_user(const grpc::User& user, process_plan& plan) {
  plan.uid = user.uid();
  plan.gid = user.gid();
  TRY(check_count("process.user.additionalGids", user.additional_gids_size()));
  plan.groups.assign(user.additional_gids().begin(), user.additional_gids().end());
  return {};
}

outcome<void> take_environment(const grpc::Process& process, process_plan& plan) {
  plan.arguments = TRY(take_strings("process.args", process.args()));
  if (plan.arguments.empty() || plan.arguments.front().empty())
    return fail(errc::invalid_argument, "process.args: must name a program");
  plan.environment = TRY(take_strings("process.env", process.env()));
  for (const auto& entry : plan.environment)
    if (entry.find('=') == std::string::npos || entry.front() == '=')
      return fail(errc::invalid_argument, "process.env: '{}' is not KEY=value",
                  entry.substr(0, 64));
  plan.cwd = TRY(container_path("process.cwd", process.cwd().empty() ? "/" : process.cwd()));
  return {};
}

// ---- the container -----------------------------------------------------------------------------

struct namespace_name {
  string_view word;
  int flag = 0;
};

/// All containers of a pod share the guest's network namespace and there is no time namespace in a
/// virtual machine's clock: both are taken and left alone.
constexpr std::array<namespace_name, 10> namespace_names{{
    {"mount", CLONE_NEWNS},
    {"mnt", CLONE_NEWNS},
    {"pid", CLONE_NEWPID},
    {"ipc", CLONE_NEWIPC},
    {"uts", CLONE_NEWUTS},
    {"cgroup", CLONE_NEWCGROUP},
    {"network", 0},
    {"net", 0},
    {"time", 0},
    {"user", CLONE_NEWUSER},
}};

outcome<int> take_namespaces(const grpc::Linux& from) {
  int flags = CLONE_NEWNS | CLONE_NEWPID; // a container without its own mounts is none
  for (const auto& wanted : from.namespaces()) {
    const auto* found =
        std::find_if(namespace_names.begin(), namespace_names.end(),
                     [&wanted](const namespace_name& n) { return n.word == wanted.type(); });
    if (found == namespace_names.end())
      return fail(errc::invalid_argument, "linux.namespaces: unknown type '{}'",
                  wanted.type().substr(0, 32));
    if (found->flag == CLONE_NEWUSER)
      return fail(errc::unimplemented, "linux.namespaces: user namespaces inside the guest");
    flags |= found->flag;
  }
  return flags;
}

outcome<mount_plan> take_mount(const grpc::Mount& from) {
  mount_plan plan;
  plan.destination = TRY(container_path("mounts.destination", from.destination()));
  auto options = parse_mount_options({from.options().begin(), from.options().end()});
  if (!options)
    return within(fmt::format("mounts {}", plan.destination), options.error());
  plan.options = *std::move(options);
  plan.type = from.type();
  plan.source = from.source();
  if (plan.type == "bind" || plan.type == "rbind" || plan.type.empty() || plan.type == "none") {
    plan.options.bind = true;
    plan.options.bind_all = plan.options.bind_all || plan.type == "rbind";
  }
  if (plan.options.bind && (plan.source.empty() || plan.source.front() != '/'))
    return fail(errc::invalid_argument, "mounts {}: source '{}' is not an absolute path",
                plan.destination, plan.source.substr(0, 64));
  return plan;
}

outcome<device_node> take_device(const grpc::LinuxDevice& from) {
  device_node node;
  node.path = TRY(container_path("linux.devices.path", from.path()));
  if (from.type() == "b")
    node.mode = S_IFBLK;
  else if (from.type() == "c" || from.type() == "u")
    node.mode = S_IFCHR;
  else if (from.type() == "p")
    node.mode = S_IFIFO;
  else
    return fail(errc::invalid_argument, "linux.devices {}: type '{}' is none of b, c, u, p",
                node.path, from.type().substr(0, 16));
  constexpr std::int64_t most = UINT32_MAX;
  if (from.major() < 0 || from.major() > most || from.minor() < 0 || from.minor() > most)
    return fail(errc::invalid_argument, "linux.devices {}: number {}:{} is out of range", node.path,
                from.major(), from.minor());
  node.major = static_cast<unsigned>(from.major());
  node.minor = static_cast<unsigned>(from.minor());
  node.mode |= from.file_mode() == 0 ? 0666u : from.file_mode() & 07777u;
  node.uid = from.uid();
  node.gid = from.gid();
  return node;
}

outcome<std::vector<std::string>> take_paths(string_view field, const strings& list) {
  TRY(check_count(field, list.size()));
  std::vector<std::string> paths;
  for (const auto& path : list)
    paths.push_back(TRY(container_path(field, path)));
  return paths;
}

/// Only keys that a namespace of the container keeps to itself: the rest would change the guest for
/// every other container of the pod.
bool sysctl_is_private(string_view path, int namespaces) noexcept {
  constexpr std::array<string_view, 8> ipc{"msgmax", "msgmnb", "msgmni", "sem",
                                           "shmall", "shmmax", "shmmni", "shm_rmid_forced"};
  if (path.starts_with("net/"))
    return true;
  if (path == "kernel/domainname")
    return (namespaces & CLONE_NEWUTS) != 0;
  if ((namespaces & CLONE_NEWIPC) == 0)
    return false;
  if (path.starts_with("fs/mqueue/"))
    return true;
  return path.starts_with("kernel/") &&
         std::find(ipc.begin(), ipc.end(), path.substr(7)) != ipc.end();
}

outcome<void> take_sysctls(const grpc::Linux& from, container_plan& plan) {
  TRY(check_count("linux.sysctl", static_cast<int>(from.sysctl().size())));
  for (const auto& [key, value] : from.sysctl()) {
    auto path = TRY(sysctl_path(key));
    if (!sysctl_is_private(path, plan.namespaces))
      return fail(errc::invalid_argument,
                  "linux.sysctl: '{}' is not private to a namespace of the container", key);
    plan.sysctls.emplace_back(std::move(path), value);
  }
  return {};
}

outcome<void> take_lists(const grpc::Spec& spec, container_plan& plan) {
  TRY(check_count("mounts", spec.mounts_size()));
  for (const auto& mount : spec.mounts())
    plan.mounts.push_back(TRY(take_mount(mount)));
  TRY(check_count("linux.devices", spec.linux().devices_size()));
  for (const auto& device : spec.linux().devices())
    plan.devices.push_back(TRY(take_device(device)));
  plan.masked_paths = TRY(take_paths("linux.maskedPaths", spec.linux().masked_paths()));
  plan.readonly_paths = TRY(take_paths("linux.readonlyPaths", spec.linux().readonly_paths()));
  return take_sysctls(spec.linux(), plan);
}

outcome<void> refuse_hooks(const grpc::Hooks& hooks) {
  if (hooks.prestart_size() + hooks.poststart_size() + hooks.poststop_size() +
          hooks.create_runtime_size() + hooks.create_container_size() +
          hooks.start_container_size() >
      0)
    return fail(errc::unimplemented, "hooks: none are run inside the guest");
  return {};
}

} // namespace

outcome<process_plan> to_process_plan(const grpc::Process& process) {
  process_plan plan;
  plan.terminal = process.terminal();
  plan.rows = static_cast<std::uint16_t>(std::min(process.console_size().height(), 65535u));
  plan.columns = static_cast<std::uint16_t>(std::min(process.console_size().width(), 65535u));
  TRY(take_user(process.user(), plan));
  TRY(take_environment(process, plan));
  if (process.has_capabilities())
    plan.capabilities = TRY(take_all_capabilities(process.capabilities()));
  TRY(check_count("process.rlimits", process.rlimits_size()));
  for (const auto& limit : process.rlimits())
    plan.rlimits.push_back(TRY(take_rlimit(limit)));
  plan.no_new_privileges = process.no_new_privileges();
  if (process.oom_score_adj() < -1000 || process.oom_score_adj() > 1000)
    return fail(errc::invalid_argument, "process.oomScoreAdj: {} is not in -1000 ... 1000",
                process.oom_score_adj());
  plan.oom_score_adj = static_cast<int>(process.oom_score_adj());
  return plan;
}

outcome<container_plan> to_container_plan(const grpc::Spec& spec, string_view container) {
  if (!spec.has_process())
    return fail(errc::invalid_argument, "process: is missing");
  TRY(refuse_hooks(spec.hooks()));
  container_plan plan;
  plan.process = TRY(to_process_plan(spec.process()));
  plan.rootfs = TRY(container_path("root.path", spec.root().path()));
  plan.readonly_rootfs = spec.root().readonly();
  plan.hostname = spec.hostname();
  plan.namespaces = TRY(take_namespaces(spec.linux()));
  TRY(take_lists(spec, plan));
  plan.limits = TRY(cgroup_writes(spec.linux().resources()));
  plan.device_rules = TRY(device_rules(spec.linux().resources()));
  plan.cgroup_path = TRY(cgroup_path(spec.linux().cgroups_path(), container));
  if (const auto& word = spec.linux().rootfs_propagation(); !word.empty()) {
    plan.propagation = parse_propagation(word);
    if (plan.propagation == 0)
      return fail(errc::invalid_argument, "linux.rootfsPropagation: unknown word '{}'",
                  word.substr(0, 32));
  }
  return plan;
}

} // namespace troupe::guest
