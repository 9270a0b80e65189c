#pragma once

#include "actors/container/io/endpoint.hpp"
#include "actors/container/io/output_pump.hpp"
#include "actors/container/io/stream_source.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <memory>
#include <string>

namespace troupe::stdio {

/// Copies what a client writes into the stdin fifo to the process, and its end. The end comes when
/// the fifo is empty and the last writer has left; with a keeper, or before any writer came, only
/// after close_when_read(). Io thread only.
class input_pump : public std::enable_shared_from_this<input_pump> {
public:
  explicit input_pump(asio::io_context& io) : fifo_(io) {}

  /// Takes the fifo. @returns host_io when it cannot be watched.
  outcome<void> attach(input_end end);

  /// Begins to copy. Without a fifo the process's stdin is ended at once: it must not wait for
  /// input that nobody can give.
  void run(std::shared_ptr<stream_source> source);

  /// CloseIO. Before run() it is remembered.
  void close_when_read();

  /// Stops for good: descriptors closed.
  void close();

  [[nodiscard]] const stream_report& report() const noexcept { return report_; }

private:
  void wait_readable();
  void read();
  [[nodiscard]] bool writers_left() const;
  void write();
  void written(const outcome<std::size_t>& taken);
  void end();
  void stop(failure why);

  asio::posix::stream_descriptor fifo_;
  unique_fd keeper_;
  std::shared_ptr<stream_source> source_;
  std::string bytes_;
  stream_report report_;
  bool closing_ = false; ///< close_when_read() was called
  bool closed_ = false;
};

} // namespace troupe::stdio
