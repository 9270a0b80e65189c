#include "tools/bench/turns.hpp"

namespace troupe::bench {
namespace {

void count(samples& to, const turn& measured, const std::string& who) {
  if (!measured) {
    note(fmt::format("{}: {}", who, measured.error().to_string()));
    to.add_failure();
    return;
  }
  for (const double each : *measured)
    to.add(each);
}

} // namespace

outcome<std::vector<row>> take_turns(std::vector<duel> duels, const order& what) {
  for (std::uint32_t round = 0; round < what.n; ++round) {
    for (auto& each : duels) {
      TRY(what.stop.rest(milliseconds{1}));
      count(each.into.ours, each.ours(), each.into.name);
      count(each.into.peers, each.peers(), each.into.name);
    }
    note(fmt::format("round {} of {}", round + 1, what.n));
  }
  std::vector<row> rows;
  for (auto& each : duels) {
    auto& made = rows.emplace_back(std::move(each.into));
    note(fmt::format("{}: ours: {}", made.name, describe(made.ours, made.unit)));
    note(fmt::format("{}: {}: {}", made.name, made.peer, describe(made.peers, made.unit)));
  }
  return rows;
}

} // namespace troupe::bench
