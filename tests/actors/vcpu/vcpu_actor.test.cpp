#include "actors/vcpu/vcpu_actor.hpp"
#include "tests/support/actor_fixture.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;
using vcpu::phase;

namespace {

/// A processor whose thread is the test: it reaches a phase when the test says so.
class hand_driven final : public vcpu::processor_port {
public:
  [[nodiscard]] std::uint32_t id() const noexcept override { return 3; }
  [[nodiscard]] outcome<void> ask(vcpu::command what) override { return rules.ask(what); }
  [[nodiscard]] phase where() const override { return rules.where(); }
  [[nodiscard]] std::optional<vcpu::vcpu_end> why() const override { return end; }
  [[nodiscard]] const vcpu::counters& count() const noexcept override { return counts; }

  vcpu::control rules;
  std::optional<vcpu::vcpu_end> end;
  vcpu::counters counts;
};

struct vcpu_fixture : actor_fixture {
  vcpu_fixture() {
    reach(phase::paused);
    REQUIRE(call(me, resume_vcpu{}));
    reach(phase::running);
  }

  void reach(phase where) {
    port->rules.reached(where);
    actors::tell(me, vcpu_moved{where});
    run();
  }

  std::shared_ptr<hand_driven> port = std::make_shared<hand_driven>();
  vcpu_ref me = start("pod/vcpu3", &run_vcpu, vcpu_args{port, vcpu_ref{"pod/vcpu3"}});
};

} // namespace

TEST_CASE_METHOD(vcpu_fixture, "vcpu: a pause is answered when the processor stands") {
  const auto got = ask(me, pause_vcpu{});
  run();
  CHECK_FALSE(*got);
  reach(phase::paused);
  REQUIRE(*got);
  CHECK(**got);
  CHECK(call(me, pause_vcpu{})); // it stands already
}

TEST_CASE_METHOD(vcpu_fixture, "vcpu: a pause that does not come in time is named") {
  pause_vcpu order;
  order.context.deadline = now() + 50ms;
  const auto got = ask(me, order);
  advance(49ms);
  CHECK_FALSE(*got);
  advance(1ms);
  REQUIRE(*got);
  CHECK((*got)->error().code == errc::deadline_exceeded);
  CHECK((*got)->error().text.find("pod/vcpu3") != std::string::npos);
}

TEST_CASE_METHOD(vcpu_fixture,
                 "vcpu: the deadline of a pause that came in time ends no later one") {
  pause_vcpu order;
  order.context.deadline = now() + 50ms;
  const auto first = ask(me, order);
  run();
  reach(phase::paused);
  REQUIRE(*first);
  CHECK(call(me, resume_vcpu{}));
  reach(phase::running);
  advance(40ms);
  const auto second = ask(me, pause_vcpu{});
  advance(20ms);
  CHECK_FALSE(*second);
  reach(phase::paused);
  REQUIRE(*second);
  CHECK(**second);
}

TEST_CASE_METHOD(vcpu_fixture, "vcpu: a processor that ends instead tells why") {
  const auto got = ask(me, pause_vcpu{});
  run();
  port->end = vcpu::vcpu_end{vcpu::end_reason::shutdown, "triple fault"};
  reach(phase::parked);
  REQUIRE(*got);
  CHECK((*got)->error().code == errc::machine_gone);
  CHECK((*got)->error().text.find("triple fault") != std::string::npos);
  CHECK(call(me, resume_vcpu{}).error().code == errc::machine_gone);
}

TEST_CASE_METHOD(vcpu_fixture, "vcpu: resumed before it stands, the pause is called off") {
  const auto got = ask(me, pause_vcpu{});
  run();
  CHECK(call(me, resume_vcpu{}));
  REQUIRE(*got);
  CHECK((*got)->error().code == errc::cancelled);
}

TEST_CASE_METHOD(vcpu_fixture, "vcpu: its counters are read while it runs") {
  vcpu::counters::add(port->counts.exits);
  vcpu::counters::add(port->counts.pio_out);
  const auto report = call(me, describe_vcpu{});
  REQUIRE(report);
  CHECK(report->id == 3);
  CHECK(report->where == phase::running);
  CHECK(report->exits == 1);
  CHECK(report->port_accesses == 1);
}

TEST_CASE_METHOD(vcpu_fixture, "vcpu: without its machine it says so") {
  port.reset();
  CHECK(call(me, describe_vcpu{}).error().code == errc::machine_gone);
  CHECK(call(me, pause_vcpu{}).error().code == errc::machine_gone);
}
