#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::guest {

/// Option strings of one mount, sorted by who takes them.
struct mount_options {
  /// MOUNT_ATTR_* for this mount.
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  /// The same for everything below it ("rro", "rnosuid").
  std::uint64_t set_all = 0;
  std::uint64_t clear_all = 0;
  /// MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, perhaps with MS_REC; 0 leaves it.
  unsigned long propagation = 0;
  bool bind = false;
  /// rbind: with all submounts.
  bool bind_all = false;
  /// What is left, for the file system: "size=64k", "mode=755".
  std::vector<std::string> data;
};

/// Most options of one mount and most bytes of one option: mount(2) itself takes one page in all.
inline constexpr std::size_t max_mount_options = 128;
inline constexpr std::size_t max_mount_option_length = 4096;

/// @returns invalid_argument that quotes the option: "loop" and "remount" are not for a container,
/// too
///   many or too long ones are for nobody.
[[nodiscard]] outcome<mount_options> parse_mount_options(const std::vector<std::string>& options);

/// Propagation by its OCI name ("rslave"); 0 for another word.
[[nodiscard]] unsigned long parse_propagation(std::string_view word) noexcept;

} // namespace troupe::guest
