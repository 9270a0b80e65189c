#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

namespace troupe::guest {

/// Bytes that may wait for a process to read its stdin: the host may send faster for ever.
inline constexpr std::size_t max_waiting_input = 8u * 1024 * 1024;

/// The writing end of a process's stdin, or of its terminal. A process that does not read holds up
/// nobody but its own writers. One thread: the loop's.
class input_stream : public std::enable_shared_from_this<input_stream> {
public:
  using answer = std::function<void(outcome<std::uint32_t>)>;

  /// `fd` is non-blocking.
  input_stream(asio::io_context& io, unique_fd fd, bool terminal);

  /// Answers with the number of bytes, once all of them are in the pipe. failed_precondition after
  /// close() or when the process closed its end.
  void write(std::string data, answer done);

  /// End of input, after what was written before. A terminal gets its end-of-file character and
  /// stays usable for output; a second close is nothing.
  void close();

private:
  struct item {
    std::string data;
    std::size_t sent = 0;
    answer done;
  };

  void pump();
  void wait_for_room();
  void fail_all(std::string_view why);
  [[nodiscard]] std::string end_of_file();

  asio::posix::stream_descriptor fd_;
  bool terminal_;
  std::deque<item> queue_;
  std::size_t waiting_bytes_ = 0;
  char last_ = '\n';
  bool closed_ = false;
  bool watching_ = false;
};

} // namespace troupe::guest
