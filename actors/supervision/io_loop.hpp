#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <string>
#include <thread>
#include <utility>

namespace troupe {

/// The thread for sockets and fifos: one asio io_context with all signals blocked. Handlers on it
/// must not block. An exception that leaves a handler is logged with the loop's name and the loop
/// goes on.
class io_loop {
public:
  /// Starts the thread. `name` is the thread's name, at most 15 characters.
  explicit io_loop(std::string name = "io");
  /// stop().
  ~io_loop();
  io_loop(const io_loop&) = delete;
  io_loop& operator=(const io_loop&) = delete;

  /// For sockets and timers that live on the loop.
  [[nodiscard]] asio::io_context& context() noexcept { return context_; }

  /// Runs `job` on the loop's thread; any thread. After stop() it is dropped.
  template <class Job>
  void post(Job&& job) {
    asio::post(context_, std::forward<Job>(job));
  }

  [[nodiscard]] bool in_loop_thread() const noexcept {
    return std::this_thread::get_id() == thread_.get_id();
  }

  /// Ends the running handler's turn and joins; waiting handlers are destroyed with the loop. Not
  /// from the loop's own thread. Twice is fine.
  void stop();

private:
  void run() noexcept;

  std::string name_;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
  std::thread thread_;
};

} // namespace troupe
