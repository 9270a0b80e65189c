#include "actors/container/process_state.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::lifecycle;

namespace {

process_state make(bool terminal = false) {
  process_key key{*container_id::parse("c1"), {}};
  return process_state{key, "/bundle", stdio_paths{"", "/out", "", terminal}, 42};
}

const exit_record exit_7{7, wall_time{std::chrono::seconds{100}}};
const exit_record exit_137{killed_status, wall_time{std::chrono::seconds{200}}};

} // namespace

TEST_CASE("process: its end is told once, after its output") {
  auto p = make();
  p.begin_start();
  p.started();
  CHECK(p.exited(exit_7));
  CHECK_FALSE(p.take_finish()); // output is still coming
  CHECK_FALSE(p.exit());
  p.drained();
  CHECK(p.take_finish());
  CHECK_FALSE(p.take_finish());
  CHECK(p.phase() == process_phase::stopped);
  CHECK(p.exit() == exit_7);
}

TEST_CASE("process: the first report of its end wins over the machine's death") {
  auto p = make();
  p.begin_start();
  CHECK(p.exited(exit_7));
  CHECK_FALSE(p.exited(exit_137));
  p.abandon_output();
  CHECK(p.take_finish());
  CHECK(p.report().exit == exit_7);
}

TEST_CASE("process: one that ends while its start is still being answered stays stopped") {
  auto p = make();
  p.begin_start();
  CHECK(p.exited(exit_7));
  p.drained();
  CHECK(p.take_finish());
  p.started();
  CHECK(p.phase() == process_phase::stopped);
}

TEST_CASE("process: a refused start may be tried again") {
  auto p = make();
  p.begin_start();
  p.start_failed();
  CHECK(p.phase() == process_phase::created);
  CHECK(p.admit(command::start) == verdict::proceed);
}

TEST_CASE("process: a deleted one that never ran counts as killed") {
  auto p = make();
  p.begin_remove();
  const auto answer = p.removed(wall_time{std::chrono::seconds{5}});
  CHECK(answer.exit.status == 137);
  CHECK(answer.exit.at == wall_time{std::chrono::seconds{5}});
  CHECK(answer.pid == 42);
}

TEST_CASE("process: terminal sizes are bounded and need a terminal") {
  auto plain = make();
  CHECK(plain.resize({80, 24}).error().code == errc::failed_precondition);
  auto tty = make(true);
  CHECK(tty.resize({65536, 24}).error().text == "width: 65536 is over 65535");
  CHECK(tty.resize({80, 65536}).error().text == "height: 65536 is over 65535");
  CHECK(tty.resize({0, 0}));
  CHECK(tty.resize({80, 24}));
  CHECK(tty.size() == pty_size{80, 24});
}

TEST_CASE("process: its report shows created, running, stopped as containerd names them") {
  auto p = make();
  CHECK(p.report().status == task_status::created);
  p.begin_start();
  p.started();
  CHECK(p.report().status == task_status::running);
  p.exited(exit_7);
  p.drained();
  CHECK(p.take_finish());
  CHECK(p.report().status == task_status::stopped);
  CHECK(p.report().bundle == "/bundle");
}

TEST_CASE("process: a refusal names the process and its phase") {
  auto p = make();
  const auto v = p.admit(command::exec);
  REQUIRE_FALSE(v);
  CHECK(v.error() == failure{errc::failed_precondition, "exec: c1 is created", 0});
}
