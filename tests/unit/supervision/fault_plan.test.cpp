#include "actors/supervision/fault_plan.hpp"

#include <catch2/catch.hpp>

#include <cerrno>

using namespace troupe;

namespace {

std::shared_ptr<fault_plan> plan(std::string_view text) {
  auto made = fault_plan::parse_text(text);
  REQUIRE(made);
  return *made;
}

errc error_of(std::string_view text) {
  const auto made = fault_plan::parse_text(text);
  REQUIRE_FALSE(made);
  return made.error().code;
}

} // namespace

TEST_CASE("fault plan: without rules it is not armed", "[supervision]") {
  CHECK_FALSE(fault_plan{}.armed());
  CHECK_FALSE(plan("# only a remark\n\n   \n")->armed());
}

TEST_CASE("fault plan: a rule for the second hit acts then and never again, and disarms the plan",
          "[supervision]") {
  const auto p = plan("actor:sandbox/c1:create_task throw @2");
  CHECK_FALSE(p->hit("actor:sandbox/c1:create_task"));
  CHECK_FALSE(p->hit("actor:sandbox/c2:create_task"));
  CHECK(p->armed());
  const auto second = p->hit("actor:sandbox/c1:create_task");
  REQUIRE(second);
  CHECK(second->kind == fault_kind::throw_up);
  CHECK_FALSE(p->armed());
  CHECK_FALSE(p->hit("actor:sandbox/c1:create_task"));
}

TEST_CASE("fault plan: @k+ acts from the k-th hit on, no mark acts always", "[supervision]") {
  const auto p = plan("fx:a drop @2+\nfx:b kill");
  CHECK_FALSE(p->hit("fx:a"));
  CHECK(p->hit("fx:a")->kind == fault_kind::drop);
  CHECK(p->hit("fx:a")->kind == fault_kind::drop);
  CHECK(p->hit("fx:b")->kind == fault_kind::kill);
  CHECK(p->armed());
}

TEST_CASE("fault plan: a star stands for any text", "[supervision]") {
  const auto p = plan("actor:sandbox/*:create_* drop");
  CHECK(p->hit("actor:sandbox/c1/agent:create_task"));
  CHECK(p->hit("actor:sandbox/:create_"));
  CHECK_FALSE(p->hit("actor:sandbox/c1:start_task"));
  CHECK_FALSE(p->hit("xactor:sandbox/c1:create_task"));
}

TEST_CASE("fault plan: of several matching rules the first that acts wins and all count",
          "[supervision]") {
  const auto p = plan("fx:* drop @2\nfx:mount kill @2\nfx:mount throw @1");
  CHECK(p->hit("fx:mount")->kind == fault_kind::throw_up);
  CHECK(p->hit("fx:mount")->kind == fault_kind::drop);
  CHECK_FALSE(p->hit("fx:mount"));
}

TEST_CASE("fault plan: fail takes an errno or one of our codes and names the point",
          "[supervision]") {
  const auto p = plan("fx:mount fail(EIO) @1\nfx:mount fail(agent_gone) @2");
  const auto first = p->hit("fx:mount");
  REQUIRE(first);
  CHECK(first->why == failure{errc::host_io, "fx:mount: failed by the fault plan", EIO});
  CHECK(p->hit("fx:mount")->why.code == errc::agent_gone);
}

TEST_CASE("fault plan: delay is in milliseconds", "[supervision]") {
  const auto p = plan("fx:mount delay(20)");
  const auto action = p->hit("fx:mount");
  REQUIRE(action);
  CHECK(action->kind == fault_kind::delay);
  CHECK(action->delay == milliseconds{20});
}

TEST_CASE("fault plan: the same seed acts at the same hits, about as often as asked",
          "[supervision]") {
  const auto hits = [](std::string_view text) {
    const auto p = plan(text);
    std::string marks;
    for (int i = 0; i < 1000; ++i)
      marks += p->hit("fx:a") ? 'x' : '.';
    return marks;
  };
  const auto seven = hits("fx:a drop %0.2 seed 7");
  CHECK(seven == hits("fx:a drop %0.2 seed 7"));
  CHECK(seven != hits("fx:a drop %0.2 seed 8"));
  const auto count = std::ranges::count(seven, 'x');
  CHECK(count > 150); // 200 expected; four standard deviations are 51
  CHECK(count < 250);
  CHECK(hits("fx:a drop %0") == std::string(1000, '.'));
  CHECK(hits("fx:a drop %1") == std::string(1000, 'x'));
}

TEST_CASE("fault plan: a bad rule is refused with its number", "[supervision]") {
  const auto made = fault_plan::parse_text("fx:a drop\nfx:b explode");
  REQUIRE_FALSE(made);
  CHECK(made.error().code == errc::invalid_argument);
  CHECK(made.error().text == "fault plan: rule 2: action \"explode\"");
  const auto bad = GENERATE(as<std::string>{}, "fx:a", "fx:a drop @0", "fx:a drop @x",
                            "fx:a drop @", "fx:a drop 3", "fx:a drop %2", "fx:a drop %nan",
                            "fx:a drop %0.5 seed", "fx:a drop @1 seed 4", "fx:a drop @1 more",
                            "fx:a drop %0.5 seed 1 more", "fx:a delay(x)", "fx:a delay(600001)",
                            "fx:a delay(", "fx:a wait(1)", "fx:a fail(EWHAT)", "fx:a fail()");
  CAPTURE(bad);
  CHECK(error_of(bad) == errc::invalid_argument);
}

TEST_CASE("fault plan: one rule more than max_fault_rules is refused", "[supervision]") {
  std::vector<std::string> rules(max_fault_rules, "fx:a drop");
  CHECK(fault_plan::parse(rules));
  rules.emplace_back("fx:a drop");
  CHECK(fault_plan::parse(rules).error().code == errc::resource_exhausted);
}

TEST_CASE("fault plan: armed anew, it has the new rules with no hits yet", "[supervision]") {
  const auto p = plan("fx:a drop @1");
  CHECK(p->hit("fx:a"));
  REQUIRE(p->arm("fx:b kill @2"));
  CHECK_FALSE(p->hit("fx:a"));
  CHECK_FALSE(p->hit("fx:b"));
  CHECK(p->arm("fx:c burn").error().code == errc::invalid_argument);
  CHECK(p->hit("fx:b"));
  REQUIRE(p->arm(""));
  CHECK_FALSE(p->armed());
}
