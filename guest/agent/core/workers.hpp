#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace troupe::guest {

/// Most threads for calls that block (mounts, forks, cgroup files). They are made when first
/// needed: an idle agent is one thread.
inline constexpr std::size_t max_workers = 4;
/// Jobs that may wait for one. Beyond it the host is told to slow down.
inline constexpr std::size_t max_waiting_jobs = 256;

/// A few threads for what may block. A job must not wait for another job.
class workers {
public:
  workers() = default;
  workers(const workers&) = delete;
  workers& operator=(const workers&) = delete;
  /// Lets the jobs that run finish and drops those that wait.
  ~workers();

  /// Runs `job` soon. It must not throw. resource_exhausted when too many wait.
  [[nodiscard]] outcome<void> run(std::function<void()> job);

private:
  void serve();

  std::mutex guard_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

} // namespace troupe::guest
