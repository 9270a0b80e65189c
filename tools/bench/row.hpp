#pragma once

#include "tools/bench/statistics.hpp"

#include <string>
#include <string_view>

namespace troupe::bench {

/// One figure of ours beside the same figure of a peer.
struct row {
  std::string bench; ///< as `--list` names it
  std::string name;  ///< begins with the peer's name where there is a peer
  std::string unit;
  samples ours;
  std::string peer; ///< empty: a figure that has no peer
  samples peers;
};

/// One JSON object without a line end: "bench", "row", "unit", "n" (runs of ours), "p50", "p90",
/// "p99", "peer", "peer_p50", "ratio" (of the medians) and "failures" (of both). A figure that does
/// not exist is null.
[[nodiscard]] std::string json_line(const row& what);

/// The same samples for people: "least 1.2, p50 1.4, p90 2.0, p99 2.0 ms in 10 runs, 0 failed".
[[nodiscard]] std::string describe(const samples& what, std::string_view unit);

} // namespace troupe::bench
