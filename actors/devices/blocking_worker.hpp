#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace troupe::devices {

/// A few threads of one device whose requests may block (an fsync, a read of a cold file), so that
/// they never stall the shared workers. Any thread may call it.
class blocking_worker {
public:
  using task = std::function<void()>;

  /// `limit` bounds the tasks that wait; a device passes the sum of its queue sizes.
  [[nodiscard]] static outcome<std::unique_ptr<blocking_worker>>
  start(std::string name, std::size_t threads, std::size_t limit);

  blocking_worker(const blocking_worker&) = delete;
  blocking_worker& operator=(const blocking_worker&) = delete;
  /// Drains, then joins: no task runs after this.
  ~blocking_worker();

  /// Runs `what` on one of the threads. resource_exhausted when `limit` tasks wait already.
  [[nodiscard]] outcome<void> submit(task what);

  /// Waits until nothing waits or runs. Tasks that never end keep it waiting: their system calls
  /// are the caller's to bound. Not from a task.
  void drain();

private:
  blocking_worker(std::string name, std::size_t limit) : name_(std::move(name)), limit_(limit) {}

  void loop() noexcept;

  std::string name_;
  std::size_t limit_;
  std::mutex mutex_; // Guards all below but the threads.
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<task> waiting_;
  std::size_t running_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

} // namespace troupe::devices
