#include "actors/supervision/reply_box.hpp"

#include <catch2/catch.hpp>

#include <stdexcept>
#include <vector>

using namespace troupe;

TEST_CASE("reply box: the first answer is given, a second one is not", "[supervision]") {
  std::vector<outcome<int>> got;
  const reply_box<int> box{[&](outcome<int> value) { got.push_back(std::move(value)); }};
  CHECK(box.pending());
  box.answer(4);
  box.answer(5);
  CHECK_FALSE(box.pending());
  REQUIRE(got.size() == 1);
  CHECK(got[0] == 4);
}

TEST_CASE("reply box: the last copy that goes unanswered answers restarting", "[supervision]") {
  std::vector<outcome<int>> got;
  {
    const reply_box<int> box{[&](outcome<int> value) { got.push_back(std::move(value)); }};
    { const auto copy = box; }
    CHECK(got.empty());
  }
  REQUIRE(got.size() == 1);
  REQUIRE_FALSE(got[0]);
  CHECK(got[0].error().code == errc::restarting);
}

TEST_CASE("reply box: what the continuation throws goes nowhere", "[supervision]") {
  int calls = 0;
  const reply_box<void> box{[&](outcome<void>) {
    ++calls;
    throw std::runtime_error{"broken caller"};
  }};
  box.answer({});
  CHECK(calls == 1);
}

TEST_CASE("reply box: an empty one takes any answer", "[supervision]") {
  const reply_box<int> box;
  box.answer(1);
  CHECK_FALSE(box.pending());
}
