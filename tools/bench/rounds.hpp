#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "tools/bench/statistics.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace troupe::bench {

/// More is a typing error.
inline constexpr std::uint32_t max_rounds = 100'000;

/// Who is measured, and how one run of it is made. A failure of code `cancelled` ends the whole
/// measurement; any other is one failed run.
struct contestant {
  std::string name;
  std::function<outcome<double>(std::uint32_t round)> run;
};

struct plan_of_rounds {
  std::uint32_t warm_ups = 1; ///< rounds that are made and not counted
  std::uint32_t counted = 1;
};

/// Told after every round, for the person who waits.
using round_report =
    std::function<void(std::uint32_t round, const std::vector<outcome<double>>& results)>;

/// Every contestant once a round, always in their order (A B C, A B C ...), so that whatever else
/// the machine does meanwhile falls upon all alike. Rounds are numbered from 0, warm-ups first.
/// @returns the samples of each contestant, in their order. cancelled.
[[nodiscard]] outcome<std::vector<samples>> interleave(const std::vector<contestant>& contestants,
                                                       plan_of_rounds plan,
                                                       const round_report& report);

} // namespace troupe::bench
