#pragma once

#include "tools/bench/bench.hpp"

#include <functional>
#include <vector>

namespace troupe::bench {

/// The figures of one turn. A failure is one failed turn.
using turn = outcome<std::vector<double>>;

/// A row that is still empty, and how each side takes a turn for it.
struct duel {
  row into;
  std::function<turn()> ours;
  std::function<turn()> peers;
};

/// Every duel once a round, ours first, so that whatever else the machine does meanwhile falls upon
/// all alike; notes how it goes and what it came to.
/// @returns the rows in their order. cancelled.
[[nodiscard]] outcome<std::vector<row>> take_turns(std::vector<duel> duels, const order& what);

} // namespace troupe::bench
