#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace troupe::bench {

/// What a process holds, as proc(5) tells it.
struct usage {
  std::uint64_t rss_anon_kb = 0; ///< private memory that no file is behind
  std::uint64_t rss_kb = 0;      ///< all that is resident
  std::uint64_t pss_kb = 0;      ///< the same, shared pages divided by their users
  std::uint64_t threads = 0;

  friend bool operator==(const usage&, const usage&) = default;
};

/// From the texts of /proc/PID/status and /proc/PID/smaps_rollup.
/// corrupt: names the line that is missing.
[[nodiscard]] outcome<usage> parse_usage(std::string_view status, std::string_view rollup);

/// not_found: there is no such process.
[[nodiscard]] outcome<usage> read_usage(pid_t pid);

/// What the host could still give to programs, as /proc/meminfo tells it. corrupt.
[[nodiscard]] outcome<std::uint64_t> available_kb();

/// A process and the words it was started with.
struct process {
  pid_t pid = 0;
  pid_t parent = 0;
  std::vector<std::string> argv;
};

/// Every process of this /proc that has a command line.
[[nodiscard]] std::vector<process> list_processes();

} // namespace troupe::bench
