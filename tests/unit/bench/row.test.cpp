#include "tools/bench/row.hpp"

#include <catch2/catch.hpp>

using namespace troupe::bench;

namespace {
samples of(std::initializer_list<double> values) {
  samples out;
  for (const double value : values)
    out.add(value);
  return out;
}
} // namespace

TEST_CASE("row: one JSON object with the contract's keys in the contract's order") {
  const row what{"ctr-run", "boot",          "ms", of({1500.0004, 1400, 1700.12345}),
                 "boot",    of({1000, 1200})};
  CHECK(json_line(what) ==
        R"({"bench":"ctr-run","row":"boot","unit":"ms","n":3,"p50":1500.0,"p90":1700.123,)"
        R"("p99":1700.123,"peer":"boot","peer_p50":1000.0,"ratio":1.5,"failures":0})");
}

TEST_CASE("row: what does not exist is null, and failures of both sides count") {
  row what{"b", "r", "kB", of({5}), "p", {}};
  what.ours.add_failure();
  what.ours.add_failure();
  what.peers.add_failure();
  CHECK(json_line(what) == R"({"bench":"b","row":"r","unit":"kB","n":3,"p50":null,"p90":null,)"
                           R"("p99":null,"peer":"p","peer_p50":null,"ratio":null,"failures":3})");
}

TEST_CASE("row: a figure without a peer says so") {
  CHECK(json_line({"b", "r", "kB", of({5}), "", {}}) ==
        R"({"bench":"b","row":"r","unit":"kB","n":1,"p50":5.0,"p90":5.0,"p99":5.0,"peer":null,)"
        R"("peer_p50":null,"ratio":null,"failures":0})");
}

TEST_CASE("row: the line for people has least, percentiles and failures") {
  auto some = of({1, 2, 3});
  some.add_failure();
  CHECK(describe(some, "ms") == "least 1.0, p50 2.0, p90 none, p99 none ms in 4 runs, 1 failed");
}
