#include "tools/bench/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::bench {

void samples::add(double value) {
  values_.insert(std::ranges::upper_bound(values_, value), value);
}

std::optional<double> samples::percentile(double percent) const {
  const auto share = percent / 100 * static_cast<double>(runs());
  // 0.9 * 10 must be rank 9, not 10 for the sake of the last bit.
  const auto rank = static_cast<std::size_t>(std::ceil(share - 1e-9));
  if (rank < 1 || rank > values_.size())
    return std::nullopt;
  return values_[rank - 1];
}

std::optional<double> samples::least() const {
  if (values_.empty())
    return std::nullopt;
  return values_.front();
}

std::optional<double> ratio(std::optional<double> ours, std::optional<double> peers) {
  if (!ours || !peers || *peers == 0)
    return std::nullopt;
  return *ours / *peers;
}

} // namespace troupe::bench
