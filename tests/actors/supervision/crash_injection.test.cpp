#include "tests/actors/supervision/counter.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

/// Three children of one supervisor, crashed in every way and at every moment a seed can think of.
struct storm : actor_fixture {
  storm(unsigned seed, restart_strategy strategy) : dice(seed) {
    dice.discard(8); // the first numbers of small seeds resemble each other
    supervisor_args args;
    args.policy = {.strategy = strategy, .max_restarts = 1'000, .max_delay = 8ms};
    args.children = [this] {
      std::vector<child_spec> specs;
      for (const auto& place : places)
        specs.push_back(child(place, {.grace = 50ms}, &count, places[0]));
      return specs;
    };
    args.observe = [this](const supervision_event& event) {
      crashes += event.what == supervision_event::kind::ended && event.why ? 1 : 0;
    };
    root = start_supervisor("storm", std::move(args));
    run_shuffled(dice);
  }

  ~storm() { end(); }

  void crash_one() {
    const auto& victim = places[dice() % places.size()];
    switch (dice() % 4) {
    case 0:
      kill(victim);
      break;
    case 1:
      send_exit(victim.target(), caf::exit_reason::user_shutdown);
      break;
    default:
      asked.push_back(ask(victim, blow_up{}, 20ms));
    }
  }

  void ask_all() {
    for (const auto& place : places) {
      sums.push_back(ask(place, count_up{}, 20ms));
      sums.push_back(ask(place, count_there{10ms}, 20ms));
      sums.push_back(ask(place, count_later{}, 20ms));
    }
  }

  std::minstd_rand dice;
  std::vector<ref<counter_actor>> places{
      ref<counter_actor>{"storm/a"}, ref<counter_actor>{"storm/b"}, ref<counter_actor>{"storm/c"}};
  ref<supervisor_actor> root;
  std::vector<awaited<void>> asked;
  std::vector<awaited<total>> sums;
  int crashes = 0;
};

} // namespace

TEST_CASE(
    "supervisor actor: after any storm of crashes all children run and every asker was told") {
  constexpr auto strategies = std::array{
      restart_strategy::one_for_one, restart_strategy::one_for_all, restart_strategy::rest_for_one};
  int crashes = 0;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    storm s{seed, strategies[seed % strategies.size()]};
    for (int round = 0; round < 10; ++round) {
      s.ask_all();
      s.crash_one();
      s.run_shuffled(s.dice);
      s.scheduler().advance_time(milliseconds{s.dice() % 5});
    }
    for (int i = 0; i < 100; ++i) {
      s.run_shuffled(s.dice);
      s.scheduler().advance_time(1ms);
    }
    s.run_shuffled(s.dice);

    REQUIRE_FALSE(s.root_ended);
    const auto children = s.call(s.root, list_children{});
    REQUIRE(children);
    CHECK(std::ranges::all_of(children->children, &child_info::running));
    for (const auto& place : s.places)
      CHECK(s.call(place, count_up{}));
    CHECK(std::ranges::all_of(s.asked, [](const auto& a) { return a->has_value(); }));
    CHECK(std::ranges::all_of(s.sums, [](const auto& a) { return a->has_value(); }));
    crashes += s.crashes;
  }
  CHECK(crashes > 300 * 3); // of 10 each; some meet a child that is down or end it in order
}

TEST_CASE("supervisor actor: a stop in the middle of any storm ends everything") {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    storm s{seed, restart_strategy::rest_for_one};
    for (int round = 0; round < 5; ++round)
      s.crash_one();
    CHECK(s.host().stop());
    for (int i = 0; i < 20; ++i) {
      s.run_shuffled(s.dice);
      s.scheduler().advance_time(1ms);
    }
    s.run_shuffled(s.dice);
    REQUIRE(s.root_ended);
    CHECK_FALSE(s.root_failure);
    for (const auto& place : s.places)
      CHECK_FALSE(place);
  }
}
