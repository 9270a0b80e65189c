#pragma once

#include "messages/vocabulary/units.hpp"

#include <string>

namespace troupe {

/// Travels with every request from the edge inwards.
struct request_context {
  /// When the caller stops listening. Every stage below gets no more than what is left.
  time_point deadline = time_point::max();
  /// W3C `traceparent` as received; empty when the caller traces nothing.
  std::string trace;
  /// Who asks, for logs: "containerd", "troupectl", "sandbox/c1".
  std::string caller;

  /// Time left at `now`, never negative.
  [[nodiscard]] milliseconds left(time_point now) const noexcept {
    if (deadline == time_point::max())
      return milliseconds::max();
    return deadline <= now ? milliseconds{0}
                           : std::chrono::duration_cast<milliseconds>(deadline - now);
  }
};

} // namespace troupe
