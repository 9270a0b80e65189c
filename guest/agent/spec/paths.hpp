#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <string>
#include <string_view>

namespace troupe::guest {

/// Longest path we take; the kernel's own limit.
inline constexpr std::size_t max_path_length = 4095;

/// An absolute path inside a container: no "..", no NUL, bounded. Returned without doubled or
/// trailing slashes and "." parts. Links in it are a matter for whoever opens it.
[[nodiscard]] outcome<std::string> container_path(std::string_view field, std::string_view path);

/// linux.cgroupsPath as a path below the cgroup root: "slice:prefix:name" becomes
/// "slice/prefix/name", an empty one the container's id. Never leaves the root.
[[nodiscard]] outcome<std::string> cgroup_path(std::string_view path, std::string_view container);

/// The file below /proc/sys of a sysctl key. Both separators are taken ("net.ipv4.ip_forward",
/// "net/ipv4/ip_forward"); the first one seen decides, so "net/ipv4/conf/eth0.100/mtu" works.
[[nodiscard]] outcome<std::string> sysctl_path(std::string_view key);

} // namespace troupe::guest
