#pragma once

#include "actors/container/rootfs/options.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <string>

namespace troupe::rootfs {

/// How layers reach the kernel.
enum class overlay_route : std::uint8_t {
  by_context, ///< fsopen(2), a layer an option; Linux 6.7
  by_mount,   ///< mount(2) in a thread with its own mount namespace, for older kernels
};

/// The way that this kernel offers.
[[nodiscard]] outcome<overlay_route> choose_overlay_route();

/// Mounts an overlay that is attached nowhere. The layers are opened first, so that an error names
/// the one that is missing, and handed on as descriptors: by their short names hundreds fit into
/// the page (mount) or the 255 bytes (fsconfig) where two dozen paths of containerd's would not.
[[nodiscard]] outcome<unique_fd> mount_overlay(const std::string& field,
                                               const mount_options& options, overlay_route route);

} // namespace troupe::rootfs
