#pragma once

#include "messages/vocabulary/log.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace troupe::guest {

/// Largest `agent.container_pipe_size`: a pipe is kernel memory that the container fills.
inline constexpr std::uint32_t max_pipe_bytes = 1u << 20;

/// Longest `agent.launch_process_timeout`: a create must not outlive every caller.
inline constexpr seconds max_launch_timeout{600};

/// Everything the agent can be told. As process 1 it reads the kernel command line, on a host the
/// environment and its arguments; later sources win.
struct agent_options {
  log::level log_level = log::level::info;
  /// vsock port that hands out the log; 0 sends it to the console only.
  std::uint32_t log_vport = 0;
  /// `vsock://CID:PORT` (CID -1 is any), `unix:///PATH` or `unix://@NAME`.
  std::string server_address = "vsock://-1:1024";
  /// Capacity asked for the pipes of a container's streams; 0 leaves the kernel's.
  std::uint32_t pipe_bytes = 0;
  /// From fork to a parked process: namespaces, mounts, credentials.
  milliseconds launch_timeout = seconds{30};
  /// Holds bundles and shares of all containers.
  std::string work_dir = "/run/kata-containers";
  /// Mount point of cgroup v2.
  std::string cgroup_root = "/sys/fs/cgroup";
  /// Drops limits whose controller this kernel does not have instead of refusing the container. For
  /// host runs only; nothing on the kernel command line sets it.
  bool lenient_cgroups = false;
};

/// Reads the keys `agent.log`, `agent.log_vport`, `agent.server_addr`, `agent.container_pipe_size`,
/// `agent.launch_process_timeout` and `agent.unified_cgroup_hierarchy` (which may only be true).
/// Every other word is someone else's.
/// @returns invalid_argument that names the key and its bad value; `options` may then be half set.
[[nodiscard]] outcome<void> apply_cmdline(std::string_view cmdline, agent_options& options);

/// Reads `--server-addr A`, `--work-dir D`, `--cgroup-root D`, `--log-level L` and
/// `--lenient-cgroups`, without the program's name.
[[nodiscard]] outcome<void> apply_arguments(std::span<char* const> arguments,
                                            agent_options& options);

/// Reads KATA_AGENT_SERVER_ADDR and KATA_AGENT_LOG_LEVEL.
[[nodiscard]] outcome<void> apply_environment(agent_options& options);

/// A level by the names kata-agent takes: fatal, panic, critical, error, warn, warning, info,
/// debug, trace.
[[nodiscard]] outcome<log::level> parse_agent_level(std::string_view key, std::string_view text);

} // namespace troupe::guest
