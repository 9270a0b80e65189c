#pragma once

#include "messages/vocabulary/log.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

namespace troupe::guest {

/// Log lines that wait for a reader. A host that never reads must not fill the guest.
inline constexpr std::size_t max_log_backlog = 64u * 1024;

/// Where log lines go: the console, and one connection to the log port. Lines are JSON
/// (log_line.hpp). Nothing here ever waits: what does not fit is dropped, counted, and told as soon
/// as lines fit again. With a port, the console gets warnings and errors only: a serial line costs
/// an exit a byte.
class log_output : public std::enable_shared_from_this<log_output> {
public:
  /// `console` is non-blocking and stays the caller's.
  log_output(asio::io_context& io, int console);

  /// Makes this the sink of every record. From then on any thread.
  void install();

  /// Hands lines to the first that connects to `listening`, the ones from before included; the next
  /// may connect when it left.
  void serve(unique_fd listening);

private:
  void take(const log::record& what);
  void queue(const std::string& line);
  void schedule();
  void accept();
  void flush();
  void wait_for_room();

  asio::io_context& io_;
  int console_;
  asio::posix::stream_descriptor listening_;
  asio::posix::stream_descriptor peer_;
  std::mutex guard_; ///< Of the three below.
  std::string backlog_;
  std::size_t dropped_ = 0;
  bool scheduled_ = false;
  std::atomic<bool> has_port_ = false;
  std::string sending_; ///< Loop only: taken from the backlog, not written yet.
};

} // namespace troupe::guest
