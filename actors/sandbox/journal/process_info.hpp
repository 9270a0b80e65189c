#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

/// What /proc tells about a process.
namespace troupe::journal {

struct process_info {
  /// Field 3 of /proc/PID/stat: 'R', 'S', 'Z' ...
  char state = '?';
  /// Field 22: clock ticks since boot.
  std::uint64_t start_time = 0;

  /// A zombie does nothing any more; init may take its time to reap it.
  [[nodiscard]] bool dead() const noexcept { return state == 'Z' || state == 'X'; }
};

/// Nothing when there is no such process.
[[nodiscard]] std::optional<process_info> inspect(pid_t pid);

/// The fields of one line of /proc/PID/stat. The command name in it may hold spaces and brackets.
[[nodiscard]] std::optional<process_info> parse_stat(std::string_view line);

/// Whether the process's argv contains `token`.
[[nodiscard]] bool argv_contains(pid_t pid, std::string_view token);

/// Every process but the caller whose argv contains `token`.
[[nodiscard]] std::vector<pid_t> find_by_token(std::string_view token);

} // namespace troupe::journal
