#pragma once

#include "messages/vocabulary/unique_fd.hpp"

#include "messages/vocabulary/outcome.hpp"

#include <optional>
#include <string>

namespace troupe::pod {

/// A socket to hand to a new daemon, or the news that one already answers there.
struct listening {
  /// Empty when a live daemon owns the address.
  unique_fd socket;
  /// Held until the daemon has been spawned: two `start`s of one pod must not both spawn.
  unique_fd lock;
};

/// Binds `path` (mode 0600) and listens. A file left by a dead daemon is replaced: it is known by
/// connect(2) being refused. deadline_exceeded: another `start` holds the lock for too long.
[[nodiscard]] outcome<listening> listen_or_find(const std::string& path);

/// Connections waiting for the daemon to come up: containerd opens one or two per container.
inline constexpr int listen_backlog = 64;

} // namespace troupe::pod
