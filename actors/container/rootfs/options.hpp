#pragma once

#include "messages/task.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// Root file systems as mounts that are attached nowhere.
namespace troupe::rootfs {

/// Layers that overlayfs stacks (OVL_MAX_STACK). Each costs a descriptor while it is mounted.
inline constexpr std::size_t max_layers = 500;
/// Options of one mount, and the length of one: what fits in the page mount(2) takes, with room for
/// 500 layers of 255 bytes.
inline constexpr std::size_t max_options = 64;
inline constexpr std::size_t max_option_length = 128 * 1024;

/// How one mount is made.
enum class mount_kind : std::uint8_t {
  bind,    ///< a copy of an existing mount
  overlay, ///< layers
  memory,  ///< tmpfs
  disk,    ///< a file system in a block device or, with `loop`, in a file
};

/// What an option list means.
struct mount_options {
  mount_kind kind = mount_kind::bind;
  /// MOUNT_ATTR_* to set; of the access time field, which is replaced as a whole, also to clear.
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  bool read_only = false;
  /// rbind: with the mounts below.
  bool recursive = false;
  bool loop = false;
  /// overlay: top layer first.
  std::vector<std::string> lower;
  std::string upper;
  std::string work;
  /// The rest, for the file system; second empty = a flag.
  std::vector<std::pair<std::string, std::string>> data;
};

/// Sorts the options of a mount. Pure.
/// @param field its place, for errors: "rootfs[0]".
/// @returns invalid_argument naming field and option; unimplemented for a type we cannot mount.
[[nodiscard]] outcome<mount_options> parse_options(const std::string& field,
                                                   const rootfs_mount& mount);

} // namespace troupe::rootfs
