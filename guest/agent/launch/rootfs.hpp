#pragma once

#include "guest/agent/spec/plan.hpp"
#include "messages/vocabulary/unique_fd.hpp"

namespace troupe::guest {

/// The steps that turn a directory of the guest into the root of a container, in the child, in its
/// own mount namespace. In this order:

/// Cuts the namespace off from the guest's (nothing mounted here shows there) and lays a copy of
/// the root's mount over itself, so that pivot_root accepts it.
/// @returns a descriptor of the new root. invalid_argument when root.path does not exist or has
///   links in it.
[[nodiscard]] outcome<unique_fd> attach_root(const container_plan& plan);

/// All mounts of the specification, in order. A mount of or below /proc other than the well-known
/// files is refused: programs would trust what it fakes.
[[nodiscard]] outcome<void> mount_all(int root, const container_plan& plan);

/// Nodes and links below /dev, unless /dev itself comes from outside.
[[nodiscard]] outcome<void> make_devices(int root, const container_plan& plan);

/// Writes the sysctls; the guest's /proc shows the namespaces of whoever opens it.
[[nodiscard]] outcome<void> write_sysctls(const container_plan& plan);

/// Covers the masked paths (files with /dev/null, directories with an empty read-only tmpfs) and
/// makes the read-only ones read-only. Paths that are not there need no cover.
[[nodiscard]] outcome<void> cover_paths(int root, const container_plan& plan);

/// pivot_root into the root; the guest's mounts leave the namespace for good.
[[nodiscard]] outcome<void> enter_root(int root);

/// What must come after everything was made: propagation and a read-only root.
[[nodiscard]] outcome<void> seal_root(const container_plan& plan);

} // namespace troupe::guest
