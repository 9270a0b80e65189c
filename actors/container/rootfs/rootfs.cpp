#include "actors/container/rootfs/rootfs.hpp"

#include "actors/container/rootfs/disk.hpp"
#include "actors/container/rootfs/fs_context.hpp"
#include "actors/container/rootfs/options.hpp"
#include "actors/container/rootfs/overlay.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>

namespace troupe::rootfs {

namespace {

constexpr unsigned clone_flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

outcome<void> set_attributes(const std::string& field, int root, const mount_options& options) {
  if (options.set == 0 && options.clear == 0)
    return {};
  mount_attr change{};
  change.attr_set = options.set;
  change.attr_clr = options.clear;
  const unsigned depth = options.recursive ? AT_RECURSIVE : 0;
  if (::mount_setattr(root, "", AT_EMPTY_PATH | depth, &change, sizeof change) != 0)
    return fail_errno(field + ": mount_setattr", errno);
  return {};
}

outcome<unique_fd> mount_bind(const std::string& field, const rootfs_mount& mount,
                              const mount_options& options) {
  unique_fd root(::open_tree(AT_FDCWD, mount.source.c_str(),
                             clone_flags | (options.recursive ? AT_RECURSIVE : 0u)));
  if (!root)
    return mount_failure(fmt::format("{}: source {}", field, mount.source), errno);
  TRY(set_attributes(field, root.get(), options));
  return root;
}

outcome<unique_fd> mount_memory(const std::string& field, const mount_options& options) {
  auto context = TRY(fs_context::open(field, "tmpfs"));
  for (const auto& [name, value] : options.data)
    TRY(context.set(name, value));
  return context.mount(options.set);
}

outcome<unique_fd> mount_one(const std::string& field, const rootfs_mount& mount) {
  const auto options = TRY(parse_options(field, mount));
  switch (options.kind) {
  case mount_kind::overlay:
    return mount_overlay(field, options, TRY(choose_overlay_route()));
  case mount_kind::memory:
    return mount_memory(field, options);
  case mount_kind::disk:
    return mount_disk(field, mount, options);
  case mount_kind::bind:
    break;
  }
  return mount_bind(field, mount, options);
}

outcome<mounted_root> inspect(const std::string& field, unique_fd root) {
  struct stat about {};
  struct statvfs system {};
  if (::fstat(root.get(), &about) != 0 || ::fstatvfs(root.get(), &system) != 0)
    return fail_errno(field, errno);
  if (!S_ISDIR(about.st_mode))
    return fail(errc::invalid_argument, "{}: its root is no directory", field);
  return mounted_root{std::move(root), (system.f_flag & ST_RDONLY) != 0};
}

} // namespace

outcome<mounted_root> mount_root(const std::vector<rootfs_mount>& mounts) {
  if (mounts.empty() || mounts.size() > max_mounts)
    return fail(errc::invalid_argument, "rootfs: {} mounts are not in 1 ... {}", mounts.size(),
                max_mounts);
  mounted_root top;
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    const auto field = fmt::format("rootfs[{}]", i);
    top = TRY(inspect(field, TRY(mount_one(field, mounts[i]))));
  }
  return top;
}

outcome<mounted_root> clone_root(int directory, bool read_only) {
  unique_fd root(::open_tree(directory, "", AT_EMPTY_PATH | AT_RECURSIVE | clone_flags));
  if (!root)
    return mount_failure("root.path: open_tree", errno);
  mount_options options;
  options.recursive = true;
  options.set = read_only ? MOUNT_ATTR_RDONLY : 0;
  TRY(set_attributes("root.path", root.get(), options));
  return inspect("root.path", std::move(root));
}

} // namespace troupe::rootfs
