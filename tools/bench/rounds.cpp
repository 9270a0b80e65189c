#include "tools/bench/rounds.hpp"

namespace troupe::bench {
namespace {

outcome<std::vector<outcome<double>>> one_round(const std::vector<contestant>& contestants,
                                                std::uint32_t round) {
  std::vector<outcome<double>> results;
  for (const auto& each : contestants) {
    results.push_back(each.run(round));
    if (!results.back() && results.back().error().code == errc::cancelled)
      return tl::unexpected(results.back().error());
  }
  return results;
}

void count(std::vector<samples>& totals, const std::vector<outcome<double>>& results) {
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i])
      totals[i].add(*results[i]);
    else
      totals[i].add_failure();
  }
}

} // namespace

outcome<std::vector<samples>> interleave(const std::vector<contestant>& contestants,
                                         plan_of_rounds plan, const round_report& report) {
  std::vector<samples> totals(contestants.size());
  for (std::uint32_t round = 0; round < plan.warm_ups + plan.counted; ++round) {
    const auto results = TRY(one_round(contestants, round));
    if (round >= plan.warm_ups)
      count(totals, results);
    report(round, results);
  }
  return totals;
}

} // namespace troupe::bench
