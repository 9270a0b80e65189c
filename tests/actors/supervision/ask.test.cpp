#include "actors/supervision/blocking.hpp"
#include "tests/actors/supervision/counter.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

struct work {
  std::shared_ptr<executor> where;
};
struct start_timer {
  milliseconds delay{10};
};
struct stop_timer {};
struct timer_calls {};

/// Waits for time and for blocking jobs.
using waiter_actor = protocol<request<work, total>, notice<start_timer>, notice<stop_timer>,
                              request<timer_calls, total>>;

struct waiter_body {
  timer due;
  int calls = 0;
};

waiter_actor::behavior_type wait_for(waiter_actor::stateful_pointer<waiter_body> self) {
  return {
      [self](const work& message) -> answer<total> {
        const reply_guard<total> reply{self};
        run_blocking(self, *message.where, {"c1", "sum"}, [] { return outcome<int>{42}; })
            .then([reply](int sum) { reply.answer(total{sum}); },
                  [reply](failure why) { reply.answer(tl::unexpected(std::move(why))); });
        return reply;
      },
      [self](const start_timer& message) {
        self->state.due = after(self, message.delay, [self] { ++self->state.calls; });
      },
      [self](const stop_timer&) { cancel(self, self->state.due); },
      [self](const timer_calls&) -> answer<total> { return total{self->state.calls}; },
  };
}

} // namespace

TROUPE_LOCAL_MESSAGE(work)
TROUPE_LOCAL_MESSAGE(start_timer)
TROUPE_LOCAL_MESSAGE(stop_timer)
TROUPE_LOCAL_MESSAGE(timer_calls)

TEST_CASE_METHOD(actor_fixture, "ask: a value and a failure of the peer come back as they were",
                 "[supervision]") {
  const auto a = start("a", &count, ref<counter_actor>{});
  CHECK(call(a, count_up{3})->sum == 3);
  CHECK(call(a, count_up{4})->sum == 7);
  CHECK(call(a, count_up{-1}).error() ==
        failure{errc::invalid_argument, "test: a: by: -1 is negative", 0});
}

TEST_CASE_METHOD(actor_fixture, "ask: a place without an actor answers restarting at once",
                 "[supervision]") {
  CHECK(call(ref<counter_actor>{"pod/x"}, count_up{}).error() ==
        failure{errc::restarting, "test: pod/x: is being restarted", 0});
  CHECK(call(ref<counter_actor>{}, count_up{}).error().code == errc::restarting);
}

TEST_CASE_METHOD(actor_fixture, "ask: an actor that ended answers restarting", "[supervision]") {
  const auto a = start("a", &count, ref<counter_actor>{});
  kill(a);
  run();
  CHECK(call(a, count_up{}).error().code == errc::restarting);
}

TEST_CASE_METHOD(actor_fixture, "ask: no answer in time is deadline_exceeded with stage and path",
                 "[supervision]") {
  const auto silent = start("silent", &count, ref<counter_actor>{});
  const auto got = ask(silent, count_later{}, 250ms);
  advance(249ms);
  CHECK_FALSE(*got);
  advance(1ms);
  REQUIRE(*got);
  CHECK((*got)->error() ==
        failure{errc::deadline_exceeded, "test: silent gave no answer within 250 ms", 0});
  tell(silent, give_all{}); // the late answer is met by nobody
  run();
}

TEST_CASE_METHOD(actor_fixture, "ask: a wait that is over leaves nothing in the clock",
                 "[supervision]") {
  const auto b = start("b", &count, ref<counter_actor>{});
  const auto a = start("a", &count, b);
  CHECK(call(a, count_there{})->sum == 1);
  CHECK_FALSE(scheduler().has_pending_timeout());
  kill(b);
  run();
  CHECK_FALSE(call(a, count_there{}));
  CHECK_FALSE(scheduler().has_pending_timeout());
}

TEST_CASE_METHOD(actor_fixture, "ask: patience is at least 1 ms and at most max_patience",
                 "[supervision]") {
  const auto silent = start("silent", &count, ref<counter_actor>{});
  const auto none = ask(silent, count_later{}, -5ms);
  const auto ages = ask(silent, count_later{}, milliseconds::max());
  advance(1ms);
  REQUIRE(*none);
  CHECK((*none)->error().code == errc::deadline_exceeded);
  advance(max_patience - 2ms);
  CHECK_FALSE(*ages);
  advance(2ms);
  CHECK(*ages);
}

TEST_CASE_METHOD(actor_fixture, "ask: failures gather stages and paths on their way",
                 "[supervision]") {
  const auto a = start("a", &count, ref<counter_actor>{"b"});
  CHECK(call(a, count_there{}).error().text == "test: a: count there: b: is being restarted");
}

TEST_CASE_METHOD(actor_fixture, "reply guard: a deferred answer arrives when it is given",
                 "[supervision]") {
  const auto a = start("a", &count, ref<counter_actor>{});
  const auto first = ask(a, count_later{});
  const auto second = ask(a, count_later{});
  run();
  CHECK_FALSE(*first);
  tell(a, give_all{});
  run();
  REQUIRE(*first);
  CHECK(**first);
  CHECK(*second);
}

TEST_CASE_METHOD(actor_fixture, "reply guard: however the actor ends, who waits is told at once",
                 "[supervision]") {
  const auto there = start("there", &count, ref<counter_actor>{});
  const auto a = start("a", &count, there);
  const auto held_in_state = ask(a, count_later{});
  run();
  // The second answer is held by the callbacks of a's own question to a silent peer.
  kill(there);
  const auto asking = start("asking", &count, start("mute", &count, ref<counter_actor>{}));
  const auto held_in_callback = ask(asking, count_there{10s});
  for (int i = 0; i < 3; ++i)
    scheduler().try_run_once();
  SECTION("by kill") {
    kill(a);
    kill(asking);
  }
  SECTION("by request") {
    send_exit(a.target(), caf::exit_reason::user_shutdown);
    send_exit(asking.target(), caf::exit_reason::user_shutdown);
  }
  run();
  REQUIRE(*held_in_state);
  CHECK((*held_in_state)->error().code == errc::restarting);
  REQUIRE(*held_in_callback);
}

TEST_CASE_METHOD(actor_fixture, "tell: says whether there was somebody", "[supervision]") {
  const auto a = start("a", &count, ref<counter_actor>{});
  CHECK(tell(a, give_all{}));
  CHECK_FALSE(tell(ref<counter_actor>{"nobody here"}, give_all{}));
}

TEST_CASE_METHOD(actor_fixture, "timer: is due after its delay, once", "[supervision]") {
  const auto w = start("w", &wait_for);
  tell(w, start_timer{10ms});
  advance(9ms);
  CHECK(call(w, timer_calls{})->sum == 0);
  advance(1ms);
  CHECK(call(w, timer_calls{})->sum == 1);
  advance(100ms);
  CHECK(call(w, timer_calls{})->sum == 1);
}

TEST_CASE_METHOD(actor_fixture, "timer: a cancelled one never calls and leaves nothing behind",
                 "[supervision]") {
  const auto w = start("w", &wait_for);
  tell(w, start_timer{10ms});
  run();
  tell(w, stop_timer{});
  run();
  CHECK_FALSE(scheduler().has_pending_timeout());
  advance(20ms);
  tell(w, stop_timer{});
  CHECK(call(w, timer_calls{})->sum == 0);
}

TEST_CASE_METHOD(actor_fixture, "timer: a cancel in the same moment wins", "[supervision]") {
  const auto w = start("w", &wait_for);
  tell(w, start_timer{10ms});
  run();
  tell(w, stop_timer{});          // queued first
  scheduler().advance_time(10ms); // and then the time-out
  run();
  CHECK(call(w, timer_calls{})->sum == 0);
}

TEST_CASE_METHOD(actor_fixture, "blocking: the outcome of a job comes back into the actor",
                 "[supervision]") {
  const auto w = start("w", &wait_for);
  const auto where = std::make_shared<inline_executor>();
  CHECK(call(w, work{where})->sum == 42);
  where->hold();
  const auto got = ask(w, work{where});
  run();
  CHECK_FALSE(*got);
  CHECK(where->expire());
  run();
  REQUIRE(*got);
  CHECK((*got)->error() ==
        failure{errc::deadline_exceeded, "test: w: sum: did not end in time", 0});
}

TEST_CASE_METHOD(actor_fixture, "blocking: a job that ends after its actor disturbs nobody",
                 "[supervision]") {
  const auto w = start("w", &wait_for);
  const auto where = std::make_shared<inline_executor>();
  where->hold();
  const auto got = ask(w, work{where});
  run();
  kill(w);
  run();
  REQUIRE(*got);
  CHECK((*got)->error().code == errc::restarting);
  CHECK(where->step());
  run();
}
