#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

/// What the host is left with when we die at the wrong moment, and how to say it on disk.
/// Wire form: docs/wire/journal.md.
namespace troupe::journal {

/// The folders beneath which a journal may name anything. A path is always one of these and a
/// relative part, so that no damaged or confused record can reach the rest of the file system.
enum class root : std::uint8_t {
  state = 1, ///< the sandbox's own run folder
  bundle,    ///< containerd's bundle of one container, or its parent for all of them
  sockets,   ///< where shim sockets live
  netns,     ///< named network namespaces
  cgroup,    ///< the cgroup hierarchies
};
[[nodiscard]] std::string_view name(root which) noexcept;

/// Absolute paths of the roots in use. Part of the journal's first record.
using root_table = std::map<root, std::string>;

/// Longest path, relative or absolute, that a record may hold (PATH_MAX of Linux).
inline constexpr std::size_t max_path_length = 4096;
/// A token shorter than this could be part of a stranger's command line.
inline constexpr std::size_t min_token_length = 16;
inline constexpr std::size_t max_token_length = 128;

/// A file name beneath a root: relative, without empty, "." and ".." components.
struct located {
  root base = root::state;
  std::string path;
  friend bool operator==(const located&, const located&) = default;
};

/// A process of ours. Before the spawn only the token is known (pid 0); `file::amend` adds the
/// rest.
struct process_effect {
  pid_t pid = 0;
  /// Field 22 of /proc/PID/stat, clock ticks since boot: tells a recycled pid.
  std::uint64_t start_time = 0;
  /// A random word in its argv, min_token_length ... max_token_length characters.
  std::string token;
  friend bool operator==(const process_effect&, const process_effect&) = default;
};

/// Something mounted on `target`. Before the mount its id is unknown (0).
struct mount_effect {
  located target;
  /// stx_mnt_id of statx(2).
  std::uint64_t mount_id = 0;
  friend bool operator==(const mount_effect&, const mount_effect&) = default;
};

/// A folder of ours; its undo removes it only when it is empty.
struct directory_effect {
  located where;
  friend bool operator==(const directory_effect&, const directory_effect&) = default;
};

/// A regular file, socket, fifo or symlink of ours; never a folder.
struct file_effect {
  located where;
  friend bool operator==(const file_effect&, const file_effect&) = default;
};

/// A named network namespace we made: a file with the namespace mounted on it.
struct netns_effect {
  located where;
  friend bool operator==(const netns_effect&, const netns_effect&) = default;
};

/// A persistent tap device in a network namespace.
struct tap_effect {
  /// Interface name, 1 ... 15 characters.
  std::string name;
  /// Absolute path of the namespace file, e.g. "/var/run/netns/x" or "/proc/1/ns/net".
  std::string netns;
  friend bool operator==(const tap_effect&, const tap_effect&) = default;
};

/// A cgroup of ours (v1 or v2); its undo kills what is left in it where the kernel can (v2).
struct cgroup_effect {
  located where;
  friend bool operator==(const cgroup_effect&, const cgroup_effect&) = default;
};

/// The order is the wire order: the kind byte of a record is the index plus one.
using effect = std::variant<process_effect, mount_effect, directory_effect, file_effect,
                            netns_effect, tap_effect, cgroup_effect>;

/// "process", "mount" ...; what logs and `troupectl sweep` print.
[[nodiscard]] std::string_view kind_name(const effect& what) noexcept;
/// "mount state:shared/rootfs" ...: the kind with its object.
[[nodiscard]] std::string describe(const effect& what);
/// Whether the effect outlives a reboot (folders and files may, all else dies with the kernel).
[[nodiscard]] bool survives_reboot(const effect& what) noexcept;

/// invalid_argument that names the offending field: a path that could leave its root, a short
/// token, a bad interface name.
[[nodiscard]] outcome<void> check(const effect& what);
/// invalid_argument: a root that is not an absolute, normal path of at least two components ("/run"
/// alone could never be ours).
[[nodiscard]] outcome<void> check(const root_table& roots);

/// The kernel's boot id as 16 bytes: what was made in another boot is gone.
using boot_id = std::array<std::uint8_t, 16>;
/// host_io when /proc is not mounted.
[[nodiscard]] outcome<boot_id> current_boot_id();

/// Who writes a journal. Alive as long as a process with this pid *and* start time is.
struct owner {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  friend bool operator==(const owner&, const owner&) = default;
};

} // namespace troupe::journal
