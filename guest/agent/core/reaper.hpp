#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>

namespace troupe::guest {

/// How a process ended.
struct exit_info {
  /// Exit code, or 128 plus the signal.
  std::int32_t status = 0;
  /// By the guest's clock.
  wall_time when{};
};

/// From a status of waitpid(2).
[[nodiscard]] std::int32_t exit_code(int wait_status) noexcept;

/// Takes the exit of every child, ours and those of others that became ours (process 1, subreaper).
/// Thread rule: the loop's thread.
class reaper {
public:
  using handler = std::function<void(const exit_info&)>;

  explicit reaper(asio::io_context& io);

  /// Blocks SIGCHLD and starts. Before any other thread exists, so that all of them inherit the
  /// mask.
  [[nodiscard]] outcome<void> start();

  /// Calls `tell` once, when `pid` has exited; at once if it exited during the launch that made it.
  void watch(pid_t pid, handler tell);

  /// Between these two a fork may happen on another thread, whose pid is not known here yet: exits
  /// of unknown children are kept meanwhile. They nest.
  void launch_begins() noexcept { ++launches_; }
  void launch_ends() noexcept;

private:
  void wait_for_signal();
  void reap();

  asio::posix::stream_descriptor signals_;
  std::map<pid_t, handler> watched_;
  std::map<pid_t, exit_info> unclaimed_;
  int launches_ = 0;
};

} // namespace troupe::guest
