#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

namespace troupe::bench {

/// SIGINT, SIGTERM or SIGHUP, as a descriptor that waits can watch. Sticky: once seen, every wait
/// fails, so a measurement unwinds from wherever it is.
class stop_signal {
public:
  /// Blocks the signals. Call while single-threaded. host_io.
  [[nodiscard]] static outcome<stop_signal> install();

  /// Waits until `fd` is readable or hung up. -1: for nothing but the deadline, and reaching that
  /// is no failure. cancelled; deadline_exceeded; host_io.
  [[nodiscard]] outcome<void> wait_for(int fd, time_point deadline) const;
  /// Does nothing for so long. cancelled.
  [[nodiscard]] outcome<void> rest(milliseconds time) const;

private:
  explicit stop_signal(unique_fd signals) : signals_(std::move(signals)) {}
  unique_fd signals_;
};

} // namespace troupe::bench
