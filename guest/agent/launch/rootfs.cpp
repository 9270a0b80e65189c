#include "guest/agent/launch/rootfs.hpp"

#include "guest/agent/launch/in_root.hpp"
#include "guest/agent/launch/mounting.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace troupe::guest {
namespace {

using std::string_view;

/// Files of /proc that a runtime may replace (lxcfs); everything else there is the kernel's word.
constexpr std::array<string_view, 8> proc_files{"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo",
                                                "/proc/stat",    "/proc/swaps",     "/proc/uptime",
                                                "/proc/loadavg", "/proc/net/dev"};

bool on_proc(int fd) noexcept {
  struct statfs info {};
  return ::fstatfs(fd, &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

outcome<void> check_target(int target, const mount_plan& plan) {
  if (!on_proc(target))
    return {};
  const bool known =
      std::find(proc_files.begin(), proc_files.end(), plan.destination) != proc_files.end();
  if (known && plan.options.bind)
    return {};
  return fail(errc::invalid_argument, "mounts {}: lies inside /proc", plan.destination);
}

outcome<void> bind_one(int root, const mount_plan& plan) {
  const auto tree = TRY(clone_mount(AT_FDCWD, plan.source, plan.options.bind_all));
  struct stat info {};
  if (::fstat(tree.get(), &info) != 0)
    return fail_errno("stat " + plan.source, errno);
  const auto target = TRY(S_ISDIR(info.st_mode) ? make_dir_in_root(root, plan.destination)
                                                : make_file_in_root(root, plan.destination));
  TRY(check_target(target.get(), plan));
  TRY(apply_options(tree.get(), plan.options));
  return attach_mount(tree.get(), target.get());
}

outcome<void> mount_new(int root, const mount_plan& plan) {
  const bool kernel_view = plan.type == "proc" || plan.type == "sysfs";
  const auto target =
      TRY(make_dir_in_root(root, plan.destination, kernel_view ? links::refuse : links::inside));
  TRY(check_target(target.get(), plan));
  // Options of a cgroup v1 mount ("xattr", "none") mean nothing to the unified hierarchy.
  const bool cgroups = plan.type == "cgroup" || plan.type == "cgroup2";
  const auto mount = TRY(new_mount(cgroups ? "cgroup2" : plan.type, plan.source,
                                   cgroups ? std::vector<std::string>{} : plan.options.data,
                                   plan.options.set | plan.options.set_all));
  return attach_mount(mount.get(), target.get());
}

outcome<void> mount_one(int root, const mount_plan& plan) {
  TRY(plan.options.bind ? bind_one(root, plan) : mount_new(root, plan));
  if (plan.options.propagation == 0)
    return {};
  const auto there = TRY(open_in_root(root, plan.destination, O_PATH));
  return set_propagation(there.get(), plan.options.propagation);
}

// ---- devices -----------------------------------------------------------------------------------

const std::array<device_node, 6>& common_nodes() {
  constexpr mode_t everybody = S_IFCHR | 0666;
  static const std::array<device_node, 6> nodes{{
      {"/dev/null", everybody, 1, 3, 0, 0},
      {"/dev/zero", everybody, 1, 5, 0, 0},
      {"/dev/full", everybody, 1, 7, 0, 0},
      {"/dev/random", everybody, 1, 8, 0, 0},
      {"/dev/urandom", everybody, 1, 9, 0, 0},
      {"/dev/tty", everybody, 5, 0, 0, 0},
  }};
  return nodes;
}

outcome<void> make_node(int root, const device_node& node) {
  const auto [parent, last] = split_last(node.path);
  const auto dir = TRY(make_dir_in_root(root, parent));
  const std::string name{last};
  if (::mknodat(dir.get(), name.c_str(), node.mode, makedev(node.major, node.minor)) != 0) {
    if (errno == EEXIST)
      return {};
    return fail_errno("mknod " + node.path, errno);
  }
  if (::fchownat(dir.get(), name.c_str(), node.uid, node.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("chown " + node.path, errno);
  return {};
}

bool dev_is_bound(const container_plan& plan) noexcept {
  return std::any_of(plan.mounts.begin(), plan.mounts.end(), [](const mount_plan& mount) {
    return mount.destination == "/dev" && mount.options.bind;
  });
}

outcome<void> make_links(int root) {
  constexpr std::array<std::pair<const char*, const char*>, 5> pairs{{
      {"/proc/self/fd", "fd"},
      {"/proc/self/fd/0", "stdin"},
      {"/proc/self/fd/1", "stdout"},
      {"/proc/self/fd/2", "stderr"},
      {"pts/ptmx", "ptmx"},
  }};
  const auto dev = TRY(make_dir_in_root(root, "/dev"));
  for (const auto& [target, name] : pairs)
    if (::symlinkat(target, dev.get(), name) != 0 && errno != EEXIST)
      return fail_errno(fmt::format("symlink /dev/{}", name), errno);
  return {};
}

// ---- covers ------------------------------------------------------------------------------------

outcome<void> mask(int root, const std::string& path) {
  const auto target = open_in_root(root, path, O_PATH);
  if (!target)
    return {};
  struct stat info {};
  if (::fstat(target->get(), &info) != 0)
    return fail_errno("stat", errno);
  if (!S_ISDIR(info.st_mode)) {
    const auto null = TRY(clone_mount(AT_FDCWD, "/dev/null", false));
    return attach_mount(null.get(), target->get());
  }
  const auto empty =
      TRY(new_mount("tmpfs", "tmpfs", {"nr_blocks=1", "nr_inodes=1"}, MOUNT_ATTR_RDONLY));
  return attach_mount(empty.get(), target->get());
}

outcome<void> make_readonly(int root, const std::string& path) {
  const auto target = open_in_root(root, path, O_PATH);
  if (!target)
    return {};
  const auto tree = TRY(clone_mount(target->get(), "", true));
  TRY(set_attributes(tree.get(), MOUNT_ATTR_RDONLY, 0, true));
  return attach_mount(tree.get(), target->get());
}

} // namespace

outcome<unique_fd> attach_root(const container_plan& plan) {
  const unique_fd slash{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  TRY(set_propagation(slash.get(), MS_SLAVE | MS_REC));
  const auto source = open_in_root(slash.get(), plan.rootfs, O_PATH | O_DIRECTORY, links::refuse);
  if (!source) {
    auto why = source.error();
    why.code = errc::invalid_argument;
    return within("root.path", std::move(why));
  }
  auto tree = TRY(clone_mount(source->get(), "", true));
  TRY(attach_mount(tree.get(), source->get()));
  return tree;
}

outcome<void> mount_all(int root, const container_plan& plan) {
  for (const auto& mount : plan.mounts)
    if (const auto done = mount_one(root, mount); !done)
      return within("mounts " + mount.destination, done.error());
  return {};
}

outcome<void> make_devices(int root, const container_plan& plan) {
  if (dev_is_bound(plan))
    return {};
  for (const auto& node : common_nodes())
    TRY(make_node(root, node));
  for (const auto& node : plan.devices)
    TRY(make_node(root, node));
  return make_links(root);
}

outcome<void> write_sysctls(const container_plan& plan) {
  for (const auto& [path, value] : plan.sysctls) {
    const auto file = "/proc/sys/" + path;
    const unique_fd fd{::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW)};
    if (!fd || ::write(fd.get(), value.data(), value.size()) < 0)
      return fail_errno("linux.sysctl " + path, errno);
  }
  return {};
}

outcome<void> cover_paths(int root, const container_plan& plan) {
  for (const auto& path : plan.readonly_paths)
    if (const auto done = make_readonly(root, path); !done)
      return within("linux.readonlyPaths " + path, done.error());
  for (const auto& path : plan.masked_paths)
    if (const auto done = mask(root, path); !done)
      return within("linux.maskedPaths " + path, done.error());
  return {};
}

outcome<void> enter_root(int root) {
  const unique_fd old{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!old || ::fchdir(root) != 0)
    return fail_errno("enter the root", errno);
  if (::syscall(SYS_pivot_root, ".", ".") != 0)
    return fail_errno("pivot_root", errno);
  // Both roots lie on each other now; the old one is on top.
  if (::fchdir(old.get()) != 0 || ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0)
    return fail_errno("leave the guest's root", errno);
  return {};
}

outcome<void> seal_root(const container_plan& plan) {
  const unique_fd root{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (plan.propagation != 0)
    TRY(set_propagation(root.get(), plan.propagation));
  if (!plan.readonly_rootfs)
    return {};
  return set_attributes(root.get(), MOUNT_ATTR_RDONLY, 0, false);
}

} // namespace troupe::guest
