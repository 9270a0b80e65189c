#pragma once

#include "actors/sandbox/journal/effect.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <optional>

/// Finding and removing things beneath a root, never through a symlink.
namespace troupe::journal {

/// A name in an open folder: what unlinkat(2) and friends take, race-free.
struct entry {
  unique_fd folder;
  std::string name;
};

/// Whether the way to a name may cross mount points.
enum class mounts : std::uint8_t { cross, refuse };

/// Opens the folder that holds `where`. Nothing when a part of the way is gone.
/// failed_precondition: no such root in the table; permission_denied: a symlink (or, when refused,
/// a mount point) stands on the way; host_io.
[[nodiscard]] outcome<std::optional<entry>> find_beneath(const root_table& roots,
                                                         const located& where, mounts policy);

/// Deepest folder tree that remove_tree goes down: more than any of ours, less than a stack.
inline constexpr unsigned max_tree_depth = 64;

/// Removes what is in the open folder, but not `keep` and not what lies on other mounts. Success
/// when all else is gone. host_io names the first thing that would not go.
[[nodiscard]] outcome<void> remove_contents(int folder, std::string_view keep, unsigned depth = 0);

} // namespace troupe::journal
