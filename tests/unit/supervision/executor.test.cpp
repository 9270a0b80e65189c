#include "actors/supervision/executor.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <stdexcept>
#include <vector>

using namespace troupe;

namespace {

std::shared_ptr<fault_plan> plan(std::string_view text) {
  return fault_plan::parse_text(text).value();
}

} // namespace

TEST_CASE("executor: a value that cannot be copied comes through", "[supervision]") {
  inline_executor where;
  std::unique_ptr<int> got;
  run_for_value<std::unique_ptr<int>>(
      where, {"c1", "count"},
      []() -> outcome<std::unique_ptr<int>> { return std::make_unique<int>(7); },
      [&](outcome<std::unique_ptr<int>> value) { got = std::move(*value); });
  REQUIRE(got);
  CHECK(*got == 7);
}

TEST_CASE("executor: an exception becomes a failure that names the stage", "[supervision]") {
  inline_executor where;
  outcome<void> got;
  where.run(
      {"c1", "mount"}, []() -> outcome<void> { throw std::runtime_error{"oops"}; },
      [&](outcome<void> value) { got = std::move(value); });
  REQUIRE_FALSE(got);
  CHECK(got.error() == failure{errc::internal, "mount: oops", 0});
}

TEST_CASE("executor: the fault plan fails an effect before it is made", "[supervision]") {
  inline_executor where{plan("fx:mount fail(EBUSY) @2")};
  int made = 0;
  std::vector<outcome<void>> got;
  for (int i = 0; i < 3; ++i)
    where.run(
        {"c1", "mount"},
        [&]() -> outcome<void> {
          ++made;
          return {};
        },
        [&](outcome<void> value) { got.push_back(std::move(value)); });
  CHECK(made == 2);
  REQUIRE(got.size() == 3);
  CHECK(got[0]);
  CHECK(got[1].error().os_error == EBUSY);
  CHECK(got[2]);
}

TEST_CASE("executor: held jobs run one at a time, in order, or expire unrun", "[supervision]") {
  inline_executor where;
  where.hold();
  std::string story;
  for (const char name : {'a', 'b'})
    where.run(
        {"c1", std::string(1, name)},
        [&, name]() -> outcome<void> {
          story += name;
          return {};
        },
        [&](outcome<void> value) { story += value ? '+' : '-'; });
  CHECK(where.waiting() == 2);
  CHECK(where.step());
  CHECK(story == "a+");
  CHECK(where.expire());
  CHECK(story == "a+-");
  CHECK_FALSE(where.step());
  CHECK_FALSE(where.expire());
}
