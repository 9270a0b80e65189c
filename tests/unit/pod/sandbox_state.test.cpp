#include "actors/sandbox/sandbox_state.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::lifecycle;

namespace {

sandbox_state make() {
  return sandbox_state{*sandbox_id::parse("pod1")};
}

create_task request(const std::string& id, std::string bundle = "/b") {
  create_task r;
  r.container = *container_id::parse(id);
  r.bundle = std::move(bundle);
  return r;
}

const failure why{errc::machine_gone, "the guest panicked", 0};

} // namespace

TEST_CASE("sandbox: the way up is directory, devices, machine, agent; then it runs") {
  auto s = make();
  CHECK(s.next_up() == boot_stage::none);
  s.begin_boot();
  for (const auto stage :
       {boot_stage::directory, boot_stage::devices, boot_stage::machine, boot_stage::agent}) {
    CHECK(s.phase() == sandbox_phase::booting);
    REQUIRE(s.next_up() == stage);
    s.reached(stage);
  }
  CHECK(s.phase() == sandbox_phase::running);
  CHECK(s.next_up() == boot_stage::none);
}

TEST_CASE("sandbox: one without an agent runs with its machine, and takes no container in") {
  sandbox_state s{*sandbox_id::parse("pod1"), false};
  s.begin_boot();
  for (const auto stage : {boot_stage::directory, boot_stage::devices, boot_stage::machine})
    s.reached(stage);
  CHECK(s.phase() == sandbox_phase::running);
  CHECK(s.next_up() == boot_stage::none);
  CHECK(s.admit(request("c1")).error().code == errc::failed_precondition);
  s.begin_stop(why);
  CHECK(s.next_down() == boot_stage::machine);
}

TEST_CASE("sandbox: a boot that fails at any stage undoes what was reached, in reverse") {
  for (int fails_at = 1; fails_at <= 4; ++fails_at) {
    CAPTURE(fails_at);
    auto s = make();
    s.begin_boot();
    for (int i = 1; i < fails_at; ++i)
      s.reached(static_cast<boot_stage>(i));
    s.half_reached(static_cast<boot_stage>(fails_at));
    s.begin_stop(why);
    CHECK(s.next_up() == boot_stage::none);
    for (int i = fails_at; i > 0; --i) { // the stage that failed half way is undone as well
      REQUIRE(s.next_down() == static_cast<boot_stage>(i));
      s.undone(s.next_down());
    }
    s.undone(boot_stage::none);
    CHECK(s.phase() == sandbox_phase::stopped);
    CHECK(s.reason() == why);
  }
}

TEST_CASE("sandbox: the first reason for its end stays") {
  auto s = make();
  s.begin_boot();
  s.begin_stop(why);
  s.begin_stop({errc::cancelled, "shutdown", 0});
  CHECK(s.reason() == why);
}

TEST_CASE(
    "sandbox: a container id is taken by its bundle; the same request is the same container") {
  auto s = make();
  CHECK(s.admit(request("c1")) == sandbox_state::admission::added);
  CHECK(s.admit(request("c1")) == sandbox_state::admission::same_again);
  CHECK(s.admit(request("c1", "/other")).error().code == errc::already_exists);
  s.removed(*container_id::parse("c1"));
  CHECK(s.admit(request("c1", "/other")) == sandbox_state::admission::added);
}

TEST_CASE("sandbox: containers are bounded, and none is taken in at the end") {
  auto s = make();
  for (std::size_t i = 0; i < max_containers; ++i)
    REQUIRE(s.admit(request("c" + std::to_string(i))));
  CHECK(s.admit(request("more")).error().code == errc::resource_exhausted);
  s.begin_stop(why);
  CHECK(s.admit(request("late")).error().code == errc::failed_precondition);
}

TEST_CASE("sandbox: commands for a container it does not hold are not found, by name") {
  auto s = make();
  const auto routed = s.route(*container_id::parse("c9"), command::start);
  REQUIRE_FALSE(routed);
  CHECK(routed.error() ==
        failure{errc::not_found, "start: container c9 is not in sandbox pod1", 0});
}

TEST_CASE("sandbox: a shutdown waits for its containers unless it must be now") {
  auto s = make();
  CHECK(s.shutdown(false) == verdict::proceed);
  REQUIRE(s.admit(request("c1")));
  CHECK(s.shutdown(false) == verdict::remember);
  CHECK(s.shutdown(true) == verdict::proceed);
  s.begin_stop(why);
  CHECK(s.shutdown(false) == verdict::join);
  s.undone(boot_stage::none);
  CHECK(s.shutdown(false) == verdict::already_done);
}
