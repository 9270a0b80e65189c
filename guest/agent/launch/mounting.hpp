#pragma once

#include "guest/agent/spec/mount_options.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe::guest {

/// Mounts by descriptor (fsopen, open_tree, move_mount, mount_setattr; Linux 5.12): a mount is
/// finished before anybody can see it, and it lands on the directory that was checked, not on a
/// path that may have become another one since.

/// A new file system, not attached to anything. The kernel's own words are part of the error.
[[nodiscard]] outcome<unique_fd> new_mount(const std::string& type, const std::string& source,
                                           const std::vector<std::string>& data,
                                           std::uint64_t attributes);

/// A detached copy of the mount below `from` (path relative to `dir`, "" for `dir` itself).
[[nodiscard]] outcome<unique_fd> clone_mount(int dir, const std::string& from, bool recursive);

/// Changes flags and propagation of a mount; `all` means everything below it too.
[[nodiscard]] outcome<void> set_attributes(int mount, std::uint64_t set, std::uint64_t clear,
                                           bool all);

/// Attaches a detached mount over what `target` (O_PATH) refers to.
[[nodiscard]] outcome<void> attach_mount(int mount, int target);

/// Options of a bind mount, on its detached copy.
[[nodiscard]] outcome<void> apply_options(int mount, const mount_options& options);

/// MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE, with MS_REC for everything below it too.
[[nodiscard]] outcome<void> set_propagation(int mount, unsigned long flags);

} // namespace troupe::guest
