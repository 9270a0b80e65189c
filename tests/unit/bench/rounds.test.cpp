#include "tools/bench/rounds.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::bench;

namespace {

contestant writes(std::string& order, const char* name) {
  return {name, [&order, name](std::uint32_t round) -> outcome<double> {
            order += name;
            return round * 10.0;
          }};
}

const round_report nobody = [](std::uint32_t, const std::vector<outcome<double>>&) {};

} // namespace

TEST_CASE("rounds: contestants take turns, warm-ups first, and warm-ups do not count") {
  std::string order;
  std::vector<std::uint32_t> reported;
  const std::vector all{writes(order, "A"), writes(order, "B"), writes(order, "C")};
  const auto took = interleave(all, {1, 2}, [&](std::uint32_t round, const auto& results) {
    CHECK(results.size() == 3);
    reported.push_back(round);
  });
  REQUIRE(took);
  CHECK(order == "ABCABCABC");
  CHECK(reported == std::vector<std::uint32_t>{0, 1, 2});
  REQUIRE(took->size() == 3);
  for (const auto& each : *took) {
    CHECK(each.runs() == 2);
    CHECK(each.least() == 10);
    CHECK(each.percentile(100) == 20);
  }
}

TEST_CASE("rounds: a run that fails is counted for who failed, and the rounds go on") {
  std::string order;
  const contestant fails{"F", [](std::uint32_t round) -> outcome<double> {
                           if (round == 2)
                             return fail(errc::peer_fault, "no");
                           return 1.0;
                         }};
  const auto took = interleave({fails, writes(order, "A")}, {1, 3}, nobody);
  REQUIRE(took);
  CHECK(order == "AAAA");
  CHECK(took->at(0).runs() == 3);
  CHECK(took->at(0).failures() == 1);
  CHECK(took->at(1).failures() == 0);
}

TEST_CASE("rounds: an interruption ends the measurement at once") {
  std::string order;
  const contestant interrupted{
      "I", [](std::uint32_t) -> outcome<double> { return fail(errc::cancelled, "interrupted"); }};
  const auto took =
      interleave({writes(order, "A"), interrupted, writes(order, "B")}, {1, 5}, nobody);
  REQUIRE_FALSE(took);
  CHECK(took.error().code == errc::cancelled);
  CHECK(order == "A");
}
