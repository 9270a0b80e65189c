#pragma once

#include "guest/agent/stdio/read_window.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace troupe::guest {

/// After the process has exited, the stream ends when it was empty for this long: a child that was
/// left behind may hold it open for ever.
inline constexpr milliseconds drain_idle{500};
/// ... or when it is empty this long after the exit: that child may also go on writing.
inline constexpr milliseconds drain_limit{10000};
/// Reads that may wait on one stream: a reader and the one it replaces after a restart, twice.
inline constexpr std::size_t max_waiting_reads = 4;

/// The reading end of a process's stdout or stderr, or of its terminal. It reads only when somebody
/// asks: a process that nobody listens to is held up by its pipe, not by our memory. Bytes written
/// before the process exited are always delivered. One thread: the loop's.
class output_stream : public std::enable_shared_from_this<output_stream> {
public:
  using answer = std::function<void(outcome<std::string>)>;

  /// `fd` is non-blocking.
  output_stream(asio::io_context& io, unique_fd fd);

  /// Answers with up to `length` bytes, or an empty string at the end of the stream.
  void read(std::size_t length, std::optional<std::uint64_t> offset, answer done);

  /// Starts the rules above.
  void process_exited();

  /// Ends the stream now; waiting reads see its end.
  void close();

private:
  struct waiter {
    std::size_t length = 0;
    std::optional<std::uint64_t> offset;
    answer done;
  };

  void serve();
  [[nodiscard]] bool fill();
  void wait_for_data();
  void arm_drain();
  void finish();

  asio::posix::stream_descriptor fd_;
  asio::steady_timer drain_;
  read_window window_;
  std::deque<waiter> waiting_;
  std::optional<time_point> exited_;
  bool watching_ = false;
};

} // namespace troupe::guest
