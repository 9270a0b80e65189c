#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace troupe::testing {

/// Runs `work` in a process of its own; its answer is the exit status, 128 and the signal for one
/// that was killed.
inline int in_child(const std::function<int()>& work) {
  const auto pid = ::fork();
  if (pid == 0)
    ::_exit(work());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// The same in a mount namespace that ends with it; 127 where there can be none. Needs root.
inline int among_own_mounts(const std::function<int()>& work) {
  return in_child([&] {
    const bool apart = ::unshare(CLONE_NEWNS) == 0 &&
                       ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    return apart ? work() : 127;
  });
}

} // namespace troupe::testing
