#pragma once

#include "messages/vocabulary/unique_fd.hpp"

#include "messages/vocabulary/outcome.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace troupe::shim {

/// Number of the descriptor under which a daemon finds its listening socket.
inline constexpr int listen_fd = 3;

/// What a daemon is started with.
struct daemon_order {
  std::string executable;
  std::vector<std::string> arguments; ///< argv[0] included
  std::string folder;                 ///< becomes its working folder
  int oom_score_adj = 0;
};

/// Starts the daemon in its own session with /dev/null as standard streams (containerd reads ours
/// until every writer has closed them) and `socket` as descriptor 3, nothing else.
/// host_io: names the step that failed, exec included. Call while single-threaded.
[[nodiscard]] outcome<pid_t> spawn_daemon(const daemon_order& order, const unique_fd& socket);

/// The daemon's oom_score_adj: one above containerd's, so that it goes first, at most 1000.
/// @param parent what /proc/<containerd>/oom_score_adj says.
[[nodiscard]] int daemon_oom_score(int parent) noexcept;

/// /proc/<pid>/oom_score_adj; 0 when it cannot be read.
[[nodiscard]] int oom_score_of(pid_t pid);

/// The daemon's binary: ../libexec/troupe/shim-daemon seen from the folder of `executable`.
[[nodiscard]] std::string daemon_path(const std::string& executable);

} // namespace troupe::shim
