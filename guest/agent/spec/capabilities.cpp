#include "guest/agent/spec/capabilities.hpp"

#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace troupe::guest {
namespace {

/// In the order of their numbers.
constexpr std::array<std::string_view, capability_count> names{
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};
static_assert(CAP_LAST_CAP + 1 == capability_count, "the table follows <linux/capability.h>");

} // namespace

outcome<unsigned> parse_capability(std::string_view name) {
  auto bare = name;
  if (bare.size() >= 2 && bare.front() == '"' && bare.back() == '"')
    bare = bare.substr(1, bare.size() - 2);
  std::string upper{bare.substr(0, 32)}; // longer than any name
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) {
    return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  const std::string_view wanted = upper;
  const auto key = wanted.starts_with("CAP_") ? wanted.substr(4) : wanted;
  const auto found = std::find(names.begin(), names.end(), key);
  if (found == names.end())
    return fail(errc::invalid_argument, "unknown capability '{}'", upper);
  return static_cast<unsigned>(found - names.begin());
}

} // namespace troupe::guest
