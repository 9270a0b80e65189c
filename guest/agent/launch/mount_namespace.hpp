#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <mutex>
#include <vector>

namespace troupe::guest {

/// Gives the calling thread, and whom it forks, a mount namespace of its own with a copy of what is
/// mounted. It lives as long as they and the descriptor do.
[[nodiscard]] outcome<unique_fd> unshare_mounts();

/// Mounts of containers that are no more, until they can be let go of.
///
/// A shared directory that the host marks as a file system of its own is one for Linux, too, and is
/// unmounted with its last user. Reads ahead, and the release of a file that waits for them, go on
/// after the process that caused them: Linux 6.1 waits for them only when it unmounts the last of
/// all shared directories, and else uses freed memory. So the last user is never the container.
///
/// Any thread.
class mount_keeper {
public:
  void keep(unique_fd mount_namespace);

  /// Lets go of all that is kept, as soon as the host has answered what was on its way. Blocks as
  /// long as the host is silent; a second caller returns at once, the first does his work too.
  void let_go();

private:
  std::mutex guard_; // Guards all below.
  std::vector<unique_fd> kept_;
  bool busy_ = false;
};

} // namespace troupe::guest
