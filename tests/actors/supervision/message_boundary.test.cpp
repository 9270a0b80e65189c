#include "tests/actors/supervision/counter.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

struct faulty : actor_fixture {
  explicit faulty(std::string_view rules)
      : actor_fixture(fault_plan::parse_text(rules).value()),
        a(start("pod/a", &count, ref<counter_actor>{})) {}

  bool was_logged(std::string_view text) { return std::ranges::find(logged, text) != logged.end(); }

  ref<counter_actor> a;
};

} // namespace

TEST_CASE("boundary: an exception names actor and message, answers the request, ends the actor") {
  faulty f{""};
  CHECK(f.call(f.a, blow_up{}).error() ==
        failure{errc::internal, "test: pod/a: pod/a: blow_up: as asked", 0});
  CHECK(f.was_logged("pod/a: blow_up: as asked"));
  CHECK(f.call(f.a, count_up{}).error().code == errc::restarting);
}

TEST_CASE("boundary: a planned throw meets the named message of the named actor only") {
  faulty f{"actor:pod/a:count_up throw @2"};
  CHECK(f.call(f.a, count_up{}));
  tell(f.a, give_all{});
  CHECK(f.call(f.a, count_up{}).error().code == errc::internal);
  CHECK(f.was_logged("pod/a: count_up: thrown by the fault plan"));
}

TEST_CASE("boundary: a planned kill ends the actor before its handler") {
  faulty f{"actor:pod/a:count_up kill @1"};
  const auto got = f.ask(f.a, count_up{});
  f.run();
  REQUIRE(*got);
  CHECK((*got)->error().code == errc::restarting);
  CHECK(f.call(f.a, count_up{}).error().code == errc::restarting);
}

TEST_CASE("boundary: a planned drop leaves the asker to its deadline") {
  faulty f{"actor:pod/a:count_up drop @1"};
  const auto got = f.ask(f.a, count_up{}, 10ms);
  f.run();
  CHECK_FALSE(*got);
  f.advance(10ms);
  REQUIRE(*got);
  CHECK((*got)->error().code == errc::deadline_exceeded);
  CHECK(f.call(f.a, count_up{})->sum == 1);
}

TEST_CASE("boundary: a planned delay hands the message over later, once") {
  faulty f{"actor:pod/a:count_up delay(20) @1"};
  const auto got = f.ask(f.a, count_up{5});
  f.advance(19ms);
  CHECK_FALSE(*got);
  f.advance(1ms);
  REQUIRE(*got);
  CHECK((**got)->sum == 5);
}

TEST_CASE("boundary: a planned failure is the answer, and the actor lives on") {
  faulty f{"actor:pod/a:count_up fail(ENOSPC) @1"};
  const auto why = f.call(f.a, count_up{}).error();
  CHECK(why.code == errc::host_io);
  CHECK(why.os_error == ENOSPC);
  CHECK(f.call(f.a, count_up{})->sum == 1);
}

TEST_CASE("boundary: exit messages are no points of the fault plan") {
  faulty f{"actor:pod/a:* drop"};
  actor_fixture::send_exit(f.a.target(), caf::exit_reason::user_shutdown);
  f.run();
  CHECK(f.call(f.a, count_up{}).error().code == errc::restarting);
}

TEST_CASE_METHOD(actor_fixture, "boundary: message names are unqualified") {
  CHECK(message_name(caf::make_message(count_up{})) == "count_up");
  CHECK(message_name(caf::make_message()) == "nothing");
}

TEST_CASE("errors: a failure survives the way through CAF") {
  const failure why{errc::agent_gone, "the stream broke", 104};
  CHECK(from_caf(to_caf(why)) == why);
}

TEST_CASE("errors: CAF's own errors become ours") {
  CHECK(from_caf(caf::make_error(caf::sec::request_receiver_down)).code == errc::restarting);
  CHECK(from_caf(caf::make_error(caf::sec::request_timeout)).code == errc::deadline_exceeded);
  CHECK(from_caf(caf::make_error(caf::sec::runtime_error)).code == errc::internal);
  CHECK(from_caf(caf::make_error(caf::sec::unexpected_message)).code == errc::internal);
  CHECK(from_caf(caf::make_error(caf::sec::end_of_stream)).code == errc::internal);
  CHECK(from_caf(caf::exit_reason::kill).code == errc::restarting);
  CHECK_FALSE(end_reason(caf::error{}));
  CHECK_FALSE(end_reason(caf::exit_reason::user_shutdown));
  CHECK(end_reason(caf::exit_reason::kill)->text == "killed");
}
