#pragma once

#include "guest/agent/core/reaper.hpp"
#include "guest/agent/launch/launch.hpp"
#include "guest/agent/stdio/input_stream.hpp"
#include "guest/agent/stdio/output_stream.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::guest {

enum class process_phase { setting_up, parked, starting, running, exited };

/// Calls that may wait for one process at a time.
inline constexpr std::size_t max_waiters = 64;

/// One process of a container, from its fork to the moment its exit is forgotten. One thread: the
/// loop's. Nothing here blocks.
class process : public std::enable_shared_from_this<process> {
public:
  using done = std::function<void(outcome<void>)>;
  using exit_answer = std::function<void(outcome<exit_info>)>;

  /// `name` is for logs: "c1" or "c1/exec1".
  process(asio::io_context& io, std::string name, bool terminal);

  /// Takes a forked child and calls `ready` once: when it has parked, or when it failed, died or
  /// outlived `deadline`; then it is dead and reaped.
  void adopt(reaper& from, launched child, milliseconds deadline, done ready);

  /// Lets the parked process become its program. failed_precondition in another phase; the child's
  /// own words when exec fails.
  void go(milliseconds deadline, done answer);

  /// Answers when the process has exited; at once if it has.
  void wait(exit_answer answer);

  /// ESRCH is success: it is gone, which is what was wanted.
  [[nodiscard]] outcome<void> signal(int number);

  [[nodiscard]] outcome<void> resize(std::uint16_t rows, std::uint16_t columns);

  /// Ends the streams; what waits on them is answered.
  void close_streams();

  [[nodiscard]] process_phase phase() const noexcept { return phase_; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::optional<exit_info>& exit() const noexcept { return exit_; }
  /// Null when the process has no such stream.
  [[nodiscard]] const std::shared_ptr<input_stream>& input() const noexcept { return input_; }
  [[nodiscard]] const std::shared_ptr<output_stream>& output() const noexcept { return output_; }
  [[nodiscard]] const std::shared_ptr<output_stream>& error() const noexcept { return error_; }

private:
  void listen();
  void on_message(sync_message message);
  void give_up(failure why);
  void settle(outcome<void> result);
  void arm(milliseconds deadline, std::string_view stage);
  void on_exit(const exit_info& info);
  void take_terminal(unique_fd master);

  asio::io_context& io_;
  std::string name_;
  bool terminal_;
  process_phase phase_ = process_phase::setting_up;
  pid_t pid_ = -1;
  unique_fd pidfd_;
  asio::posix::stream_descriptor sync_;
  asio::steady_timer deadline_;
  unique_fd master_;
  std::shared_ptr<input_stream> input_;
  std::shared_ptr<output_stream> output_;
  std::shared_ptr<output_stream> error_;
  done pending_;
  std::optional<failure> doomed_; ///< Why it is being killed; told once it is reaped.
  std::optional<exit_info> exit_;
  std::vector<exit_answer> waiters_;
};

} // namespace troupe::guest
