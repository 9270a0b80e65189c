#include "tests/actors/supervision/counter.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

/// A supervisor "pod" with counters pod/a, pod/b, pod/c.
struct pod : actor_fixture {
  explicit pod(restart_policy policy = {}, std::shared_ptr<fault_plan> faults = nullptr)
      : actor_fixture(std::move(faults)) {
    supervisor_args args;
    args.policy = policy;
    args.children = [this] {
      return std::vector{child(a, {}, &count, ref<counter_actor>{}),
                         child(b, {}, &count, ref<counter_actor>{}),
                         child(c, {}, &count, ref<counter_actor>{})};
    };
    args.observe = [this](const supervision_event& event) { events.push_back(event); };
    root = start_supervisor("pod", std::move(args));
    run();
  }

  ~pod() { end(); }

  [[nodiscard]] std::string generations() const {
    return fmt::format("{}{}{}", a.generation(), b.generation(), c.generation());
  }

  ref<counter_actor> a{"pod/a"};
  ref<counter_actor> b{"pod/b"};
  ref<counter_actor> c{"pod/c"};
  ref<supervisor_actor> root;
  std::vector<supervision_event> events;
};

supervisor_args empty_supervisor() {
  return {};
}

struct broken_body {
  broken_body() { throw std::runtime_error{"no such device"}; }
};
counter_actor::behavior_type never_runs(counter_actor::stateful_pointer<broken_body>) {
  return {[](const count_up&) -> answer<total> { return total{}; },
          [](const count_later&) -> answer<total> { return total{}; },
          [](const count_there&) -> answer<total> { return total{}; },
          [](const blow_up&) -> answer<void> { return {}; }, [](const give_all&) {}};
}

struct deaf_body {};
/// Does not end when asked.
counter_actor::behavior_type be_deaf(counter_actor::stateful_pointer<deaf_body> self) {
  self->set_exit_handler([](caf::scheduled_actor*, caf::exit_msg&) {});
  return {[](const count_up&) -> answer<total> { return total{}; },
          [](const count_later&) -> answer<total> { return total{}; },
          [](const count_there&) -> answer<total> { return total{}; },
          [](const blow_up&) -> answer<void> { return {}; }, [](const give_all&) {}};
}

} // namespace

TEST_CASE(
    "supervisor actor: a child that throws is restarted with fresh state under the same ref") {
  pod p;
  CHECK(p.call(p.a, count_up{5})->sum == 5);
  CHECK_FALSE(p.call(p.a, blow_up{}));
  CHECK(p.call(p.a, count_up{}).error().code == errc::restarting);
  p.advance(1ms);
  CHECK(p.generations() == "211");
  CHECK(p.call(p.a, count_up{1})->sum == 1);
}

TEST_CASE("supervisor actor: siblings keep their state in one_for_one and lose it in one_for_all") {
  const auto strategy = GENERATE(restart_strategy::one_for_one, restart_strategy::one_for_all,
                                 restart_strategy::rest_for_one);
  pod p{{.strategy = strategy}};
  for (const auto& who : {p.a, p.b, p.c})
    CHECK(p.call(who, count_up{5}));
  CHECK_FALSE(p.call(p.b, blow_up{}));
  p.advance(10ms);
  const auto sum = [&](const ref<counter_actor>& who) { return p.call(who, count_up{0})->sum; };
  CHECK(sum(p.a) == (strategy == restart_strategy::one_for_all ? 0 : 5));
  CHECK(sum(p.b) == 0);
  CHECK(sum(p.c) == (strategy == restart_strategy::one_for_one ? 5 : 0));
}

TEST_CASE("supervisor actor: a killed child is restarted too") {
  pod p;
  p.kill(p.b);
  p.run();
  p.advance(1ms);
  CHECK(p.generations() == "121");
}

TEST_CASE("supervisor actor: too many restarts end it with all children and the reason") {
  pod p{{.max_restarts = 2}};
  for (int i = 0; i < 3; ++i) {
    (void)p.call(p.a, blow_up{});
    p.advance(10ms);
  }
  CHECK(p.root_ended);
  REQUIRE(p.root_failure);
  CHECK(p.root_failure->code == errc::internal);
  CHECK(p.root_failure->text.starts_with("pod: child a: more than 2 restarts within 30000 ms"));
  CHECK_FALSE(p.a);
  CHECK_FALSE(p.b);
  CHECK(p.events.back().what == supervision_event::kind::escalated);
}

TEST_CASE("supervisor actor: an orderly stop ends the children last to first") {
  pod p;
  p.events.clear();
  CHECK(p.host().stop());
  p.run();
  CHECK(p.root_ended);
  CHECK_FALSE(p.root_failure);
  std::string order;
  for (const auto& event : p.events) {
    CHECK(event.what == supervision_event::kind::ended);
    order += event.path.back();
  }
  CHECK(order == "cba");
  CHECK_FALSE(p.a);
}

TEST_CASE("supervisor actor: a child deaf to its exit is killed after its grace") {
  pod p;
  const ref<counter_actor> deaf{"pod/deaf"};
  CHECK(p.call(p.root, add_child{child(deaf, {.grace = 50ms}, &be_deaf)}));
  const auto gone = p.ask(p.root, remove_child{"deaf"});
  p.advance(49ms);
  CHECK_FALSE(*gone);
  CHECK(deaf);
  p.advance(1ms);
  REQUIRE(*gone);
  CHECK(**gone);
  CHECK_FALSE(deaf);
  CHECK(p.events[p.events.size() - 2].what == supervision_event::kind::killed);
}

TEST_CASE("supervisor actor: children come and go at run time") {
  pod p;
  const ref<counter_actor> d{"pod/d"};
  CHECK(p.call(p.root, add_child{child(d, {}, &count, ref<counter_actor>{})}));
  CHECK(p.call(d, count_up{})->sum == 1);
  CHECK(p.call(p.root, add_child{child(d, {}, &count, ref<counter_actor>{})}).error().code ==
        errc::already_exists);
  CHECK(p.call(p.root, list_children{})->children.size() == 4);
  CHECK(p.call(p.root, remove_child{"d"}));
  CHECK(p.call(d, count_up{}).error().code == errc::restarting);
  CHECK(p.call(p.root, remove_child{"d"}).error().code == errc::not_found);
  const auto left = p.call(p.root, list_children{});
  REQUIRE(left->children.size() == 3);
  CHECK(left->children[0].path == "pod/a");
  CHECK(left->children[0].running);
}

TEST_CASE("supervisor actor: a child whose state cannot be made is tried again, then escalates") {
  pod p{{.max_restarts = 2}};
  const ref<counter_actor> broken{"pod/broken"};
  CHECK(p.call(p.root, add_child{child(broken, {}, &never_runs)}));
  p.advance(100ms, 1ms);
  CHECK(p.root_ended);
  REQUIRE(p.root_failure);
  CHECK(p.root_failure->text.ends_with("internal: start pod/broken: no such device"));
}

TEST_CASE("supervisor actor: a nested one that gives up is restarted with its children") {
  pod p;
  const ref<supervisor_actor> inner{"pod/inner"};
  const ref<counter_actor> leaf{"pod/inner/leaf"};
  supervisor_args args;
  args.policy.max_restarts = 0;
  args.children = [&] { return std::vector{child(leaf, {}, &count, ref<counter_actor>{})}; };
  CHECK(p.call(p.root, add_child{child(inner, {}, &supervise, args)}));
  CHECK_FALSE(p.call(leaf, blow_up{}));
  p.advance(10ms);
  CHECK(inner.generation() == 2);
  CHECK(p.call(leaf, count_up{})->sum == 1);
  CHECK(p.generations() == "111");
}

TEST_CASE("supervisor actor: a nested one that is killed takes its children along") {
  pod p;
  const ref<supervisor_actor> inner{"pod/inner"};
  const ref<counter_actor> leaf{"pod/inner/leaf"};
  auto args = empty_supervisor();
  args.children = [&] { return std::vector{child(leaf, {}, &count, ref<counter_actor>{})}; };
  CHECK(p.call(p.root, add_child{child(inner, {}, &supervise, args)}));
  const auto old_leaf = leaf.get();
  p.kill(inner);
  p.run();
  CHECK_FALSE(leaf);
  p.advance(10ms);
  CHECK(leaf);
  CHECK(leaf.get() != old_leaf);
  const ref<counter_actor> old{"old", old_leaf};
  CHECK(p.call(old, count_up{}).error().code == errc::restarting);
}
