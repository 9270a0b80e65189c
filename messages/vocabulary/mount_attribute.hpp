#pragma once

#include <cstdint>
#include <string_view>

namespace troupe {

/// What a word among a mount's options does to its attributes (MOUNT_ATTR_*, mount_setattr(2)). The
/// words of mount(8), which the OCI runtime specification takes over, for host and guest alike.
struct mount_attribute {
  std::string_view word;
  std::uint64_t set = 0;
  /// What earlier words set and this one takes back.
  std::uint64_t clear = 0;
};

/// nullptr: the word is about something else.
[[nodiscard]] const mount_attribute* find_mount_attribute(std::string_view word) noexcept;

} // namespace troupe
