#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace troupe::bench {

/// What one contestant's runs came to. A run that failed counts as one that never ended: it takes
/// its place at the far end of the order, so no figure gets better by failing.
class samples {
public:
  void add(double value);
  void add_failure() noexcept { ++failures_; }

  /// All runs, failed ones included.
  [[nodiscard]] std::size_t runs() const noexcept { return values_.size() + failures_; }
  [[nodiscard]] std::size_t failures() const noexcept { return failures_; }

  /// Nearest rank: the smallest value that at least `percent` of all runs did not exceed.
  /// Nothing when that run failed, or when there are no runs. @pre 0 < percent <= 100.
  [[nodiscard]] std::optional<double> percentile(double percent) const;
  [[nodiscard]] std::optional<double> least() const;

private:
  std::vector<double> values_; ///< sorted
  std::size_t failures_ = 0;
};

/// `ours` / `peers`; nothing where one is missing or the peer's is 0.
[[nodiscard]] std::optional<double> ratio(std::optional<double> ours, std::optional<double> peers);

} // namespace troupe::bench
