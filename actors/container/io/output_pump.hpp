#pragma once

#include "actors/container/io/endpoint.hpp"
#include "actors/container/io/stream_source.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace troupe::stdio {

/// How one stream went.
struct stream_report {
  /// Bytes that reached their target.
  std::uint64_t bytes = 0;
  /// Bytes that came and could not be written.
  std::uint64_t lost = 0;
  /// Why the stream came to rest before its end, or why bytes were lost.
  std::optional<failure> failed{};
};

/// Bytes asked for at a time: what a pipe holds in the guest and a fifo on the host, so that one
/// turn moves what has piled up on either side.
inline constexpr std::uint32_t read_size = 64U << 10;

/// Copies one output of a process from its source to its end. The next bytes are asked for only
/// when the last ones are written, so that a slow reader slows down its own stream and nobody
/// else's, and the offset asked for acknowledges only what is safe. A target that fails does not
/// block the process: the stream is read on to its end and the bytes are counted as lost. Io thread
/// only.
class output_pump : public std::enable_shared_from_this<output_pump> {
public:
  /// `rest` is called when the stream has ended or failed: see report().
  output_pump(asio::io_context& io, output which, std::function<void()> rest)
      : which_(which), target_(io), rest_(std::move(rest)) {}

  /// Takes the target. @returns host_io when it cannot be watched.
  outcome<void> attach(output_end end);

  /// Reads from `source` on from the first byte not yet written. Again after a failed source.
  void run(std::shared_ptr<stream_source> source);

  /// Stops for good: no more callbacks, descriptors closed.
  void close();

  [[nodiscard]] const stream_report& report() const noexcept { return report_; }
  /// Ended or failed. A stream that was never run is not.
  [[nodiscard]] bool resting() const noexcept { return resting_; }
  /// Came to its true end: there is nothing to run again for.
  [[nodiscard]] bool ended() const noexcept { return ended_; }

private:
  [[nodiscard]] int fd() noexcept;
  void read();
  void take(outcome<std::string> bytes);
  void write();
  void target_failed(int error);
  void wait_writable();
  void rest(std::optional<failure> why);

  output which_;
  asio::posix::stream_descriptor target_;
  unique_fd file_;
  unique_fd keeper_;
  std::function<void()> rest_;
  std::shared_ptr<stream_source> source_;
  std::uint64_t run_ = 0; ///< Counts run(): an answer of an earlier source is not for us.
  std::string bytes_;
  std::size_t written_ = 0; ///< Of bytes_.
  stream_report report_;
  bool nowhere_ = true; ///< There is no target, and nothing is lost by that.
  bool broken_ = false; ///< The target takes no more.
  bool resting_ = false;
  bool ended_ = false;
  bool closed_ = false;
};

} // namespace troupe::stdio
