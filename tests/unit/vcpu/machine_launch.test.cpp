#include "actors/vcpu/machine_launch.hpp"
#include "tests/support/idle_machine.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <future>

using namespace troupe;

namespace {

const time_point in_time = monotonic_clock::now() + seconds{60};
constexpr time_point at_once{};

/// Its start takes until it is let go or stopped.
class slow_machine final : public test::idle_machine {
public:
  outcome<void> start(time_point deadline) override {
    begun_.set_value();
    auto end = start_ends_.get_future();
    if (end.wait_until(deadline) != std::future_status::ready)
      return fail(errc::deadline_exceeded, "nobody let it go");
    return end.get();
  }
  outcome<hypervisor::exit_info> stop(time_point) override {
    if (stops++ == 0 && !let_go_.exchange(true))
      start_ends_.set_value(fail(errc::machine_gone, "stopped"));
    return hypervisor::exit_info{};
  }

  void await_start() {
    REQUIRE(begun_.get_future().wait_until(in_time) == std::future_status::ready);
  }
  void let_go(outcome<void> how) {
    let_go_ = true;
    start_ends_.set_value(std::move(how));
  }

  std::atomic<int> stops = 0;

private:
  std::promise<void> begun_;
  std::promise<outcome<void>> start_ends_;
  std::atomic<bool> let_go_ = false;
};

struct launch_fixture {
  /// What an actor has done on an fx worker.
  outcome<launched_machine> attempt() {
    return launch.run([this](const auto& known) -> outcome<launched_machine> {
      ++attempts;
      launched_machine out;
      out.driver = machine;
      TRY(known(machine));
      TRY(machine->start(in_time));
      return out;
    });
  }
  std::future<outcome<launched_machine>> attempt_aside() {
    auto out = std::async(std::launch::async, [this] { return attempt(); });
    machine->await_start();
    return out;
  }

  machine_launch launch;
  std::shared_ptr<slow_machine> machine = std::make_shared<slow_machine>();
  std::atomic<int> attempts = 0;
};

} // namespace

TEST_CASE_METHOD(launch_fixture,
                 "launch: who comes during an attempt asks again and gets what it made") {
  auto first = attempt_aside();
  CHECK(attempt().error().code == errc::restarting);
  machine->let_go({});
  CHECK(first.get().value().driver == machine);
  CHECK(attempt().value().driver == machine);
  CHECK(attempts == 1);
}

TEST_CASE_METHOD(launch_fixture, "launch: after a failure the next attempt is a new one") {
  auto first = attempt_aside();
  machine->let_go(fail(errc::host_io, "no"));
  CHECK(first.get().error().code == errc::host_io);
  machine = std::make_shared<slow_machine>();
  auto second = attempt_aside();
  machine->let_go({});
  CHECK(second.get().value().driver == machine);
  CHECK(attempts == 2);
}

TEST_CASE_METHOD(launch_fixture, "launch: an end cuts in on an attempt, and none follows") {
  auto first = attempt_aside();
  const auto had = launch.end(in_time);
  REQUIRE(had);
  CHECK_FALSE(*had);
  CHECK(machine->stops == 1);
  CHECK(first.get().error().code == errc::machine_gone);
  CHECK(attempt().error().code == errc::machine_gone);
  CHECK(attempts == 1);
}

TEST_CASE_METHOD(launch_fixture, "launch: a machine that nobody took over is ended all the same") {
  auto first = attempt_aside();
  machine->let_go({});
  first.wait();
  for (int i = 1; i <= 2; ++i) {
    const auto had = launch.end(in_time);
    REQUIRE(had);
    REQUIRE(*had);
    CHECK((*had)->driver == machine);
    CHECK(machine->stops == i);
  }
}

TEST_CASE_METHOD(launch_fixture, "launch: ended before the driver is known, it is not started") {
  REQUIRE(launch.end(in_time));
  CHECK(attempt().error().code == errc::machine_gone);
  CHECK(attempts == 0);
  machine_launch other;
  const auto made = other.run([&](const auto& known) -> outcome<launched_machine> {
    CHECK(other.end(at_once).error().code == errc::deadline_exceeded);
    TRY(known(machine));
    return launched_machine{};
  });
  CHECK(made.error().code == errc::machine_gone);
  CHECK(other.end(at_once));
}

TEST_CASE_METHOD(launch_fixture, "launch: an attempt that throws leaves the way free") {
  CHECK_THROWS(launch.run(
      [](const auto&) -> outcome<launched_machine> { throw std::runtime_error{"bug"}; }));
  machine->let_go({});
  CHECK(attempt());
}
