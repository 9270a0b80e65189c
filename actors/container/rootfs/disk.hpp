#pragma once

#include "actors/container/rootfs/options.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <string>

namespace troupe::rootfs {

/// Mounts the file system in a block device, or with the option `loop` in a regular file, attached
/// nowhere. The loop device goes with the mount.
/// @returns invalid_argument: the source is neither, or a device that the host has mounted.
[[nodiscard]] outcome<unique_fd> mount_disk(const std::string& field, const rootfs_mount& mount,
                                            const mount_options& options);

} // namespace troupe::rootfs
