#pragma once

#include "guest/agent/spec/capabilities.hpp"
#include "guest/agent/spec/mount_options.hpp"

#include <linux/filter.h>

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// A container in the kernel's terms. The specification arrives as protobuf text and numbers of a
/// peer; conversion (convert.hpp) checks every one, so that what starts a process meets no name it
/// does not know and a forked child has nothing left to parse.
namespace troupe::guest {

struct rlimit_plan {
  /// RLIMIT_*.
  int resource = 0;
  rlimit value{};
};

struct process_plan {
  bool terminal = false;
  /// Initial size of the terminal, 0 leaves the kernel's.
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::vector<std::string> arguments;
  /// "KEY=value" each.
  std::vector<std::string> environment;
  /// Absolute, in the container.
  std::string cwd = "/";
  /// Absent: an init keeps none, an exec takes those of its container.
  std::optional<capability_sets> capabilities;
  std::vector<rlimit_plan> rlimits;
  bool no_new_privileges = false;
  /// -1000 ... 1000; proto3 cannot tell an unset one from 0, which is what a child has anyway.
  int oom_score_adj = 0;
};

struct mount_plan {
  /// Absolute, in the container, without "..".
  std::string destination;
  std::string source;
  std::string type;
  mount_options options;
};

struct device_node {
  /// Absolute, in the container.
  std::string path;
  /// S_IFCHR, S_IFBLK or S_IFIFO, with permissions.
  mode_t mode = 0;
  unsigned major = 0;
  unsigned minor = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

enum class device_kind : std::uint8_t { all, character, block };

/// One line of the device list; absent numbers match every number.
struct device_rule {
  bool allow = false;
  device_kind kind = device_kind::all;
  std::optional<std::uint32_t> major;
  std::optional<std::uint32_t> minor;
  /// BPF_DEVCG_ACC_* bits.
  std::uint32_t access = 0;
};

/// One file of a cgroup and what to write to it.
struct cgroup_write {
  std::string file;
  std::string value;
  /// The field it came from, for error texts.
  std::string field;
  friend bool operator==(const cgroup_write&, const cgroup_write&) = default;
};

struct seccomp_plan {
  /// A finished BPF program; empty: no filter.
  std::vector<sock_filter> program;
  /// SECCOMP_FILTER_FLAG_*.
  unsigned flags = 0;
};

struct container_plan {
  process_plan process;
  /// Absolute, in the guest.
  std::string rootfs;
  bool readonly_rootfs = false;
  std::string hostname;
  /// CLONE_NEW* asked for. ipc, uts and pid ones may be the sandbox's instead of new.
  int namespaces = 0;
  std::vector<mount_plan> mounts;
  std::vector<device_node> devices;
  std::vector<device_rule> device_rules;
  std::vector<cgroup_write> limits;
  /// Relative to the cgroup root, without "." and "..".
  std::string cgroup_path;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  /// Path below /proc/sys and value.
  std::vector<std::pair<std::string, std::string>> sysctls;
  /// Of the root, 0 for the default.
  unsigned long propagation = 0;
  seccomp_plan seccomp;
};

} // namespace troupe::guest
