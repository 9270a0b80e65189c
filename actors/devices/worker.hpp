#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace troupe::devices {

/// One thread that serves queues and sockets of many devices on one epoll. Nothing that runs on it
/// may block: devices that must use a blocking_worker.
///
/// Each handler runs inside a catch boundary that names it: an exception ends that handler's call,
/// never the thread. Thread rule: post, run and stop from any thread, all else on the worker's own.
class worker {
public:
  using task = std::function<void()>;
  /// Gets the ready EPOLL* bits.
  using handler = std::function<void(std::uint32_t)>;
  using watch_id = std::uint64_t;
  using timer_id = std::uint64_t;

  /// Starts the thread; `name` is its name, at most 15 bytes of it.
  [[nodiscard]] static outcome<std::unique_ptr<worker>> start(std::string name);

  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  /// Runs what was posted before, then joins. Not on the worker's own thread.
  ~worker();

  /// Runs `what` soon, after everything posted before. `who` names it in the catch boundary's log.
  void post(std::string who, task what);

  /// Posts and waits until it ran; deadline_exceeded names `who` when it did not in time (it may
  /// still run later, so it must not hold references to the caller's frame). At once when called on
  /// the worker's own thread.
  [[nodiscard]] outcome<void> run(std::string who, task what, milliseconds limit);

  /// Calls `ready` whenever `fd` has one of `events` (level-triggered). The descriptor stays the
  /// caller's and must be unwatched before it is closed.
  [[nodiscard]] outcome<watch_id> watch(std::string who, int fd, std::uint32_t events,
                                        handler ready);
  outcome<void> rewatch(watch_id id, std::uint32_t events);
  /// No call after this one, not even for readiness that was already seen. Unknown ids are ignored.
  void unwatch(watch_id id) noexcept;

  /// Calls `then` once, `delay` from now.
  timer_id after(std::string who, milliseconds delay, task then);
  void cancel(timer_id id) noexcept;

  [[nodiscard]] bool on_thread() const noexcept {
    return thread_.get_id() == std::this_thread::get_id();
  }

private:
  struct named_task {
    std::string who;
    task what;
  };
  struct watched {
    std::string who;
    int fd = -1;
    handler ready;
  };

  worker(unique_fd epoll, unique_fd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}

  void loop() noexcept;
  void dispatch(watch_id id, std::uint32_t events) noexcept;
  [[nodiscard]] bool run_posted() noexcept;
  void run_timers() noexcept;
  [[nodiscard]] int next_timeout() const noexcept;
  void wake() noexcept;

  unique_fd epoll_;
  unique_fd wake_;
  std::unordered_map<watch_id, std::shared_ptr<watched>> watches_;
  std::map<std::pair<time_point, timer_id>, named_task> timers_;
  std::unordered_map<timer_id, time_point> timer_times_;
  std::uint64_t next_id_ = 1; // 0 is the wake descriptor.

  std::mutex mutex_; // Guards the two below.
  std::vector<named_task> posted_;
  bool stopping_ = false;

  std::thread thread_;
};

/// The process's workers. Devices are spread over them; their number does not grow with machines.
class worker_pool {
public:
  [[nodiscard]] static outcome<std::unique_ptr<worker_pool>> start(std::size_t threads);

  /// The next worker, round robin. Any thread.
  [[nodiscard]] worker& pick() noexcept;

private:
  explicit worker_pool(std::vector<std::unique_ptr<worker>> workers)
      : workers_(std::move(workers)) {}

  std::vector<std::unique_ptr<worker>> workers_;
  std::atomic<std::size_t> next_ = 0;
};

} // namespace troupe::devices
