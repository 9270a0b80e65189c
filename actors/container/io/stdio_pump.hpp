#pragma once

#include "actors/container/io/output_pump.hpp"
#include "actors/container/io/stream_source.hpp"
#include "messages/task.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <asio/io_context.hpp>

#include <functional>
#include <memory>

namespace troupe::stdio {

struct stdio_report {
  stream_report in{};
  stream_report out{};
  stream_report err{};
};

/// The streams of one process. Open it when the process is created, start it when the process runs,
/// wait for `drained` before asking for the exit status (kata-agent closes the pipes with its
/// answer), close it when the process is deleted.
///
/// Members may be called from any thread; the io_context must outlive it. SIGPIPE must be ignored
/// in the program.
class stdio_pump {
public:
  /// Called on the io thread when stdout and stderr have both come to rest: at their end, or failed
  /// (then the report says why, and resume() may go on). Once for each start() and resume().
  using drained = std::function<void(const stdio_report&)>;

  /// Opens what `paths` names. A terminal has no stderr. Without a path an output is read and
  /// dropped, and stdin ends at once.
  /// @returns what open_output() and open_input() say; nothing stays open then.
  static outcome<stdio_pump> open(asio::io_context& io, const stdio_paths& paths, drained done);

  stdio_pump(stdio_pump&&) noexcept = default;
  stdio_pump& operator=(stdio_pump&&) = delete;
  /// close()
  ~stdio_pump();

  /// Begins to copy. Once.
  void start(std::shared_ptr<stream_source> source) const;

  /// CloseIO: ends the process's stdin once no writer is left and the fifo is read. May come before
  /// start().
  void close_stdin() const;

  /// Goes on with the outputs that failed, from their first undelivered byte, by a new source: the
  /// connection to the agent was made anew. Stdin is not resumed: nobody knows whether its last
  /// bytes were taken.
  void resume(std::shared_ptr<stream_source> source) const;

  /// Closes everything at once; `drained` is not called any more. What the fifos hold unread is
  /// lost.
  void close() const;

private:
  class core;
  explicit stdio_pump(std::shared_ptr<core> core) : core_(std::move(core)) {}

  std::shared_ptr<core> core_;
};

} // namespace troupe::stdio
