#pragma once

#include <cstddef>
#include <cstdint>

namespace troupe::fuse {

/// What one machine's guest can make the host hold. Over a limit the guest gets an errno, never
/// more.
struct limits {
  /// Files and directories that the guest's kernel remembers (it asks with LOOKUP, lets go with
  /// FORGET). Each takes about 200 bytes here. Over it: ENFILE; listings go on without attributes.
  std::size_t nodes = 1'000'000;
  /// Descriptors kept only to be quick; the longest unused is closed first. The guest cannot exceed
  /// it.
  std::size_t cached_descriptors = 1'000;
  /// Open files and directories, and files deleted while in use: each holds one descriptor. Over
  /// it: ENFILE. Stops a guest from taking the process's descriptors away from its neighbours.
  std::size_t handles = 8'192;
};

/// Levels of directories below a share through which a node is found again. A guest can build
/// deeper trees by renaming; using what lies deeper then fails with ELOOP.
inline constexpr std::size_t max_depth = 2'048;
/// Bytes of one READ or WRITE that we announce (256 pages, the most that Linux sends).
inline constexpr std::uint32_t max_transfer = 1U << 20;
/// Bytes of a request besides the data of a WRITE; more is EINVAL. The largest legal one is a
/// SETXATTR with a full value.
inline constexpr std::size_t max_request = 72U << 10;
/// Bytes of one attribute's value, and of a list of names (XATTR_SIZE_MAX, XATTR_LIST_MAX of
/// Linux).
inline constexpr std::size_t max_xattr = 64U << 10;
/// Bytes of a symbolic link's target (PATH_MAX of Linux with its NUL).
inline constexpr std::size_t max_link_target = 4'095;
/// Bytes of one READDIR reply that we fill; Linux 6.1 asks for one page.
inline constexpr std::size_t max_listing = 64U << 10;
/// Bytes of one COPY_FILE_RANGE; the guest's kernel asks again for the rest. A larger one would
/// hold a worker for long.
inline constexpr std::uint64_t max_copy = 64U << 20;

} // namespace troupe::fuse
