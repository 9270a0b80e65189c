#include "tools/bench/statistics.hpp"

#include <catch2/catch.hpp>

using namespace troupe::bench;

namespace {
samples of(std::initializer_list<double> values, int failures = 0) {
  samples out;
  for (const double value : values)
    out.add(value);
  for (int i = 0; i < failures; ++i)
    out.add_failure();
  return out;
}
} // namespace

TEST_CASE("statistics: percentiles are values that were measured, by nearest rank") {
  const auto ten = of({10, 9, 8, 7, 6, 5, 4, 3, 2, 1});
  CHECK(ten.percentile(50) == 5);
  CHECK(ten.percentile(51) == 6);
  CHECK(ten.percentile(90) == 9);
  CHECK(ten.percentile(99) == 10);
  CHECK(ten.percentile(100) == 10);
  CHECK(ten.percentile(1) == 1);
  CHECK(ten.least() == 1);
  CHECK(of({3, 1, 2}).percentile(50) == 2);
  CHECK(of({7}).percentile(99) == 7);
}

TEST_CASE("statistics: no rank is off by the last bit of a product") {
  for (int n = 1; n <= 1000; ++n) {
    samples all;
    for (int i = 1; i <= n; ++i)
      all.add(i);
    for (const int percent : {1, 50, 90, 99, 100})
      CHECK(all.percentile(percent) == (percent * n + 99) / 100);
  }
}

TEST_CASE("statistics: nothing measured is no figure") {
  CHECK_FALSE(samples{}.percentile(50));
  CHECK_FALSE(samples{}.least());
  CHECK(samples{}.runs() == 0);
}

TEST_CASE("statistics: a failed run is slower than every other, not forgotten") {
  const auto some = of({1, 2, 3, 4, 5, 6, 7, 8, 9}, 1);
  CHECK(some.runs() == 10);
  CHECK(some.failures() == 1);
  CHECK(some.percentile(50) == 5);
  CHECK(some.percentile(90) == 9);
  CHECK_FALSE(some.percentile(99));
  CHECK_FALSE(of({1}, 2).percentile(50));
  CHECK_FALSE(of({}, 3).percentile(50));
}

TEST_CASE("statistics: a ratio needs both figures and something to divide by") {
  CHECK(ratio(3, 2) == 1.5);
  CHECK_FALSE(ratio(std::nullopt, 2));
  CHECK_FALSE(ratio(3, std::nullopt));
  CHECK_FALSE(ratio(3, 0));
}
