#include "actors/vcpu/machine_actor.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/idle_machine.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::test;

namespace {

class mortal_machine final : public idle_machine {
public:
  outcome<hypervisor::exit_info> wait(time_point deadline) override {
    return died ? outcome<hypervisor::exit_info>{hypervisor::exit_info{}}
                : idle_machine::wait(deadline);
  }
  outcome<hypervisor::exit_info> stop(time_point) override {
    ++stops;
    return hypervisor::exit_info{};
  }
  bool died = false;
  int stops = 0;
};

/// The actor of a machine, with fx jobs that wait for the test.
struct machine_fixture : actor_fixture {
  machine_fixture() {
    fx.hold();
    pod->chosen.hypervisor = hypervisor::builtin_name;
  }
  ~machine_fixture() { end(); }

  /// A new actor over what outlives it, as after a restart.
  machine_ref begin() { return start("pod/machine", &run_machine, args); }
  void finish_jobs() {
    while (fx.step())
      run();
  }
  /// An actor that is killed while it starts a machine; what the jobs bring then is for nobody.
  void leave_a_start() {
    const auto first = begin();
    (void)ask(first, start_machine{{now() + seconds{10}, {}, {}}});
    run();
    CHECK(fx.waiting() == 1);
    kill(first);
    run();
    finish_jobs();
  }

  inline_executor fx;
  asio::io_context io;
  std::unique_ptr<devices::worker_pool> workers = devices::worker_pool::start(1).value();
  int ends = 0;
  pod_ptr pod{new pod_context{*sandbox_id::parse("p1"),
                              {},
                              {},
                              true,
                              nullptr,
                              {},
                              {},
                              {},
                              {},
                              fx,
                              io,
                              *workers,
                              nullptr,
                              {},
                              [](const event::any&) {},
                              [this](const hypervisor::exit_info&) { ++ends; }}};
  std::vector<std::shared_ptr<mortal_machine>> made;
  machine_args args{pod,
                    std::make_shared<machine_ledger>(),
                    machine_ref{"pod/machine"},
                    sandbox_ref{"pod/sandbox"},
                    actors::ref<actors::supervisor_actor>{"pod"},
                    [this](const std::string&, const hypervisor::event_handler&) {
                      return made.emplace_back(std::make_shared<mortal_machine>());
                    }};
};

} // namespace

TEST_CASE_METHOD(machine_fixture, "machine: an actor killed while it starts one starts no second") {
  leave_a_start();
  const auto second = begin();
  const auto got = ask(second, start_machine{{now() + seconds{10}, {}, {}}});
  run();
  finish_jobs();
  REQUIRE(*got);
  CHECK(**got);
  CHECK(made.size() == 1);
  CHECK(args.ledger->driver == made.front());
}

TEST_CASE_METHOD(machine_fixture, "machine: one that ended while nobody listened is told") {
  leave_a_start();
  REQUIRE(made.size() == 1);
  made.front()->died = true;
  const auto second = begin();
  (void)ask(second, start_machine{{now() + seconds{10}, {}, {}}});
  run();
  finish_jobs();
  CHECK(ends == 1);
  REQUIRE(pod->fate.why());
  CHECK(pod->fate.why()->code == errc::machine_gone);
  CHECK_FALSE(args.ledger->running);
}

TEST_CASE_METHOD(machine_fixture, "machine: one that runs again is no longer taken for paused") {
  const auto it = begin();
  pod->paused = true;
  actors::tell(it, machine_news{hypervisor::machine_paused{}});
  run();
  CHECK(pod->paused);
  actors::tell(it, machine_news{hypervisor::machine_resumed{}});
  run();
  CHECK_FALSE(pod->paused);
}

TEST_CASE_METHOD(machine_fixture, "machine: one that nobody took over is stopped all the same") {
  leave_a_start();
  const auto second = begin();
  const auto got = ask(second, stop_machine{{now() + seconds{10}, {}, {}}});
  run();
  finish_jobs();
  REQUIRE(*got);
  CHECK(**got);
  REQUIRE(made.size() == 1);
  CHECK(made.front()->stops == 1);
}
