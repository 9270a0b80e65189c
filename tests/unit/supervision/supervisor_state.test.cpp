#include "actors/supervision/supervisor_state.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace troupe;
using namespace std::chrono_literals;

namespace {

using kind = supervisor_command::kind;
using strategy = restart_strategy;

const failure boom{errc::internal, "boom", 0};

/// A supervisor and a world in which every started child runs until the test ends it.
struct bench {
  explicit bench(restart_policy policy = {}) : rules(policy) {}

  child_id add(std::string name, restart_mode mode = restart_mode::permanent) {
    const auto id = rules.add({std::move(name), mode, 100ms}, now);
    REQUIRE(id);
    play(rules.advance(now));
    return *id;
  }

  /// Carries commands out and writes them down: "start 1", "exit 2".
  void play(supervisor_state::commands todo) {
    while (!todo.empty()) {
      supervisor_state::commands next;
      for (const auto& c : todo) {
        story.push_back(fmt::format("{} {}", word(c.what), c.child));
        if (c.what == kind::finish)
          finished_with = c.why;
        if (c.what != kind::start)
          continue;
        generation[c.child] = rules.started(c.child);
        for (auto& more : rules.advance(now))
          next.push_back(std::move(more));
      }
      todo = std::move(next);
    }
  }

  void end(child_id id, std::optional<failure> why = boom) {
    play(rules.ended(id, generation[id], std::move(why), now));
  }
  void pass(milliseconds time) {
    now += time;
    play(rules.advance(now));
  }
  std::vector<std::string> told() { return std::exchange(story, {}); }

  static std::string_view word(kind k) {
    switch (k) {
    case kind::start:
      return "start";
    case kind::ask_exit:
      return "exit";
    case kind::kill:
      return "kill";
    case kind::abandon:
      return "abandon";
    case kind::removed:
      return "removed";
    case kind::finish:
      return "finish";
    }
    return "?";
  }

  supervisor_state rules;
  time_point now{1h};
  std::vector<std::string> story;
  std::map<child_id, std::uint64_t> generation;
  std::optional<failure> finished_with;
};

using told = std::vector<std::string>;

} // namespace

TEST_CASE("supervisor: children start in the order they were added", "[supervision]") {
  bench b;
  b.add("a");
  b.add("b");
  CHECK(b.told() == told{"start 1", "start 2"});
}

TEST_CASE("supervisor: one_for_one restarts the failed child alone, after the delay",
          "[supervision]") {
  bench b{{.first_delay = 10ms}};
  b.add("a");
  b.add("b");
  b.told();
  b.end(1);
  CHECK(b.told().empty());
  CHECK(b.rules.next_due() == b.now + 10ms);
  b.pass(9ms);
  CHECK(b.told().empty());
  b.pass(1ms);
  CHECK(b.told() == told{"start 1"});
  CHECK(b.generation[1] == 2);
  CHECK(b.rules.children()[0].restarts == 1);
  CHECK(b.rules.children()[1].restarts == 0);
}

TEST_CASE("supervisor: one_for_all stops the siblings in reverse order and starts all in order",
          "[supervision]") {
  bench b{{.strategy = strategy::one_for_all}};
  b.add("a");
  b.add("b");
  b.add("c");
  b.told();
  b.end(2);
  CHECK(b.told() == told{"exit 3"});
  b.end(3, std::nullopt);
  CHECK(b.told() == told{"exit 1"});
  b.pass(1ms); // the delay is over, but one is still up
  CHECK(b.told().empty());
  b.end(1, std::nullopt);
  CHECK(b.told() == told{"start 1", "start 2", "start 3"});
  CHECK(b.rules.recent_restarts(b.now) == 1);
}

TEST_CASE("supervisor: rest_for_one leaves the children before the failed one alone",
          "[supervision]") {
  bench b{{.strategy = strategy::rest_for_one}};
  b.add("a");
  b.add("b");
  b.add("c");
  b.told();
  b.end(2);
  CHECK(b.told() == told{"exit 3"});
  b.end(3, std::nullopt);
  b.pass(1ms);
  CHECK(b.told() == told{"start 2", "start 3"});
}

TEST_CASE("supervisor: a sibling that fails while its group goes down counts no second restart",
          "[supervision]") {
  bench b{{.strategy = strategy::one_for_all, .max_restarts = 1}};
  b.add("a");
  b.add("b");
  b.end(1);
  b.end(2);
  b.told();
  b.pass(1ms);
  CHECK(b.told() == told{"start 1", "start 2"});
}

TEST_CASE("supervisor: the delay doubles with every restart in the window, up to its cap",
          "[supervision]") {
  bench b{{.max_restarts = 10, .first_delay = 4ms, .max_delay = 10ms}};
  b.add("a");
  for (const auto delay : {4ms, 8ms, 10ms, 10ms}) {
    b.end(1);
    CHECK(b.rules.next_due() == b.now + delay);
    b.pass(delay);
  }
}

TEST_CASE("supervisor: a delay of nothing becomes one millisecond", "[supervision]") {
  bench b{{.first_delay = 0ms, .max_delay = 0ms}};
  b.add("a");
  b.end(1);
  CHECK(b.rules.next_due() == b.now + 1ms);
}

TEST_CASE("supervisor: one restart more than allowed in the window ends it with the cause",
          "[supervision]") {
  bench b{{.max_restarts = 2, .window = 1s}};
  b.add("a");
  b.add("b");
  b.end(1);
  b.pass(10ms);
  b.end(1);
  b.pass(10ms);
  b.told();
  b.end(1);
  CHECK(b.told() == told{"exit 2", "removed 1"});
  b.end(2, std::nullopt);
  CHECK(b.told() == told{"removed 2", "finish 0"});
  REQUIRE(b.finished_with);
  CHECK(b.finished_with->code == errc::internal);
  CHECK(b.finished_with->text ==
        "child a: more than 2 restarts within 1000 ms, the last after: internal: boom");
}

TEST_CASE("supervisor: restarts older than the window are forgotten", "[supervision]") {
  bench b{{.max_restarts = 1, .window = 1s}};
  b.add("a");
  for (int i = 0; i < 5; ++i) {
    b.end(1);
    b.pass(1s);
  }
  CHECK_FALSE(b.finished_with);
  CHECK(b.generation[1] == 6);
}

TEST_CASE("supervisor: a permanent child comes back after an end without an error",
          "[supervision]") {
  bench b;
  b.add("a");
  b.end(1, std::nullopt);
  b.pass(1ms);
  CHECK(b.told() == told{"start 1", "start 1"});
}

TEST_CASE("supervisor: a transient child comes back after a failure only", "[supervision]") {
  bench b;
  b.add("a", restart_mode::transient);
  b.end(1);
  b.pass(1ms);
  b.end(1, std::nullopt);
  CHECK(b.told() == told{"start 1", "start 1", "removed 1"});
  CHECK(b.rules.children().empty());
}

TEST_CASE("supervisor: a temporary child never comes back and its name is free again",
          "[supervision]") {
  bench b;
  b.add("a", restart_mode::temporary);
  b.end(1);
  CHECK(b.told() == told{"start 1", "removed 1"});
  CHECK(b.add("a") == 2);
}

TEST_CASE("supervisor: a child that cannot be started is tried again and counts", "[supervision]") {
  supervisor_state rules{{.max_restarts = 1}};
  const time_point now{1h};
  REQUIRE(rules.add({"a"}, now));
  CHECK(rules.advance(now) == supervisor_state::commands{{kind::start, 1, {}}});
  CHECK(rules.start_failed(1, boom, now).empty());
  CHECK(rules.advance(now + 1ms) == supervisor_state::commands{{kind::start, 1, {}}});
  const auto last = rules.start_failed(1, boom, now + 1ms);
  REQUIRE(last.size() == 2);
  CHECK(last[0] == supervisor_command{kind::removed, 1, {}});
  CHECK(last[1].what == kind::finish);
  CHECK(last[1].why);
}

TEST_CASE("supervisor: a stop asks each child in reverse order and waits for it", "[supervision]") {
  bench b;
  b.add("a");
  b.add("b");
  b.told();
  b.play(b.rules.stop(b.now));
  CHECK(b.told() == told{"exit 2"});
  b.end(2, std::nullopt);
  CHECK(b.told() == told{"exit 1", "removed 2"});
  b.end(1, std::nullopt);
  CHECK(b.told() == told{"removed 1", "finish 0"});
  CHECK_FALSE(b.finished_with);
}

TEST_CASE("supervisor: a child that ignores its exit is killed, then given up with an error",
          "[supervision]") {
  bench b;
  b.add("a");
  b.told();
  b.play(b.rules.stop(b.now));
  CHECK(b.told() == told{"exit 1"});
  CHECK(b.rules.next_due() == b.now + 100ms);
  b.pass(100ms);
  CHECK(b.told() == told{"kill 1"});
  b.pass(kill_grace);
  CHECK(b.told() == told{"abandon 1", "removed 1", "finish 0"});
  REQUIRE(b.finished_with);
  CHECK(b.finished_with->code == errc::deadline_exceeded);
  CHECK(b.finished_with->text == "child a: hangs in a handler and was given up");
}

TEST_CASE("supervisor: a child that hangs is not started beside itself, the supervisor gives up",
          "[supervision]") {
  bench b{{.strategy = strategy::one_for_all}};
  b.add("a");
  b.add("b");
  b.end(1);
  b.pass(100ms);
  b.told();
  b.pass(kill_grace);
  CHECK(b.told() == told{"abandon 2", "removed 1", "removed 2", "finish 0"});
  CHECK(b.finished_with);
}

TEST_CASE("supervisor: a child that waits for its restart is not waited for by a stop",
          "[supervision]") {
  bench b;
  b.add("a");
  b.end(1);
  b.told();
  b.play(b.rules.stop(b.now));
  CHECK(b.told() == told{"removed 1", "finish 0"});
  CHECK_FALSE(b.rules.next_due());
}

TEST_CASE("supervisor: removing a child ends it for good, whatever its mode", "[supervision]") {
  bench b;
  b.add("a");
  b.add("b");
  b.told();
  b.play(b.rules.remove("a", b.now).value());
  CHECK(b.told() == told{"exit 1"});
  b.end(1);
  CHECK(b.told() == told{"removed 1"});
  CHECK(b.rules.remove("a", b.now).error().code == errc::not_found);
}

TEST_CASE("supervisor: children that leave one by one need not wait for each other",
          "[supervision]") {
  bench b;
  b.add("a");
  b.add("b");
  b.told();
  b.play(b.rules.remove("b", b.now).value());
  b.play(b.rules.remove("a", b.now).value());
  CHECK(b.told() == told{"exit 2", "exit 1"});
}

TEST_CASE("supervisor: a name is taken once and nothing is added while it stops", "[supervision]") {
  bench b;
  b.add("a");
  CHECK(b.rules.add({"a"}, b.now).error().code == errc::already_exists);
  b.play(b.rules.stop(b.now));
  CHECK(b.rules.add({"b"}, b.now).error().code == errc::failed_precondition);
}

TEST_CASE("supervisor: one child more than max_children is refused", "[supervision]") {
  supervisor_state rules{{}};
  for (std::size_t i = 0; i < max_children; ++i)
    REQUIRE(rules.add({std::to_string(i)}, {}));
  CHECK(rules.add({"more"}, {}).error().code == errc::resource_exhausted);
}

TEST_CASE("supervisor: the end of an old run is ignored", "[supervision]") {
  bench b;
  b.add("a");
  b.end(1);
  b.pass(1ms);
  b.told();
  CHECK(b.rules.ended(1, 1, boom, b.now).empty());
  CHECK(b.rules.ended(7, 1, boom, b.now).empty());
  CHECK(b.rules.children()[0].running);
}
