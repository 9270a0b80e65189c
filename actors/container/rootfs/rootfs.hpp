#pragma once

#include "messages/task.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <vector>

namespace troupe::rootfs {

/// Most mounts in one root file system; containerd sends one or two.
inline constexpr std::size_t max_mounts = 16;

/// A root file system that has no path: closing the last descriptor unmounts it, so there is
/// nothing to undo, and no name that a guest or a host process could swap under us.
struct mounted_root {
  /// The mount's root directory, O_PATH-like: for openat2 and for a share.
  unique_fd root;
  bool read_only = false;
};

/// Makes containerd's mounts. They lie upon each other, so the last one is what is seen; a failing
/// one fails all.
/// @returns invalid_argument naming mount and option, also when the kernel refused it and said why;
///   host_io otherwise. Nothing is left behind.
/// Needs CAP_SYS_ADMIN. Blocks. Any thread; starts a short-lived one on kernels before 6.5.
[[nodiscard]] outcome<mounted_root> mount_root(const std::vector<rootfs_mount>& mounts);

/// The same from a directory (oci::open_root), with the mounts below it.
/// @param directory O_PATH descriptor of a directory; stays the caller's.
[[nodiscard]] outcome<mounted_root> clone_root(int directory, bool read_only);

} // namespace troupe::rootfs
