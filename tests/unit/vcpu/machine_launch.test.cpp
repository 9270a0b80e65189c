#include "actors/vcpu/machine_launch.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <future>

using namespace troupe;

namespace {

/// A machine without a guest: its start takes until it is let go or stopped.
class slow_machine final : public hypervisor::driver {
public:
  outcome<void> prepare(const hypervisor::machine_config&) override { return {}; }
  outcome<void> start(time_point) override {
    begun_.set_value();
    return start_ends_.get_future().get();
  }
  outcome<hypervisor::exit_info> stop(time_point) override {
    if (stops++ == 0 && !let_go_.exchange(true))
      start_ends_.set_value(fail(errc::machine_gone, "stopped"));
    return hypervisor::exit_info{};
  }
  outcome<hypervisor::exit_info> wait(time_point) override { return hypervisor::exit_info{}; }
  outcome<void> pause(time_point) override { return {}; }
  outcome<void> resume(time_point) override { return {}; }
  outcome<void> save(const std::string&, time_point) override { return {}; }
  outcome<hypervisor::machine_size> resize(const hypervisor::machine_size& it,
                                           time_point) override {
    return it;
  }
  outcome<void> add_device(const hypervisor::device&, time_point) override { return {}; }
  outcome<void> remove_device(const std::string&, time_point) override { return {}; }
  outcome<void> update_device(const hypervisor::device&, time_point) override { return {}; }
  outcome<std::string> agent_address() const override { return std::string{}; }
  hypervisor::capabilities capabilities() const override { return {}; }
  outcome<hypervisor::machine_metrics> metrics() const override {
    return hypervisor::machine_metrics{};
  }
  std::optional<hypervisor::process_identity> process() const override { return std::nullopt; }
  std::vector<std::string> console_tail() const override { return {}; }

  void await_start() { begun_.get_future().get(); }
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

const time_point in_time = monotonic_clock::now() + seconds{60};
constexpr time_point at_once{};

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
                 "launch: a second attempt waits for the first and takes its place") {
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
