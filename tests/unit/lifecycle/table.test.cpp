#include "actors/sandbox/lifecycle/table.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::lifecycle;

TEST_CASE("lifecycle: every pair of state and command has an answer, and every refusal a text") {
  for (const auto phase : all_process_phases)
    for (const auto what : all_commands) {
      const auto v = answer(phase, what);
      CAPTURE(name(phase), name(what), name(v));
      if (!refuses(v))
        continue;
      const auto why = refusal(v, "c1", name(phase), what);
      CHECK((why.code == errc::not_found || why.code == errc::already_exists ||
             why.code == errc::failed_precondition));
      CHECK(why.text.find("c1") != std::string::npos);
      CHECK(why.text.find(name(what)) == 0);
    }
}

TEST_CASE("lifecycle: kill, state and wait are answered in every state of a live process") {
  for (const auto phase : all_process_phases) {
    if (phase == process_phase::absent)
      continue;
    CAPTURE(name(phase));
    CHECK_FALSE(refuses(answer(phase, command::state)));
    CHECK_FALSE(refuses(answer(phase, command::wait)));
    CHECK_FALSE(refuses(answer(phase, command::kill_all)));
  }
}

TEST_CASE("lifecycle: a finished process is not found by kill, but kill all succeeds") {
  CHECK(answer(process_phase::stopped, command::kill) == verdict::missing);
  CHECK(answer(process_phase::stopped, command::kill_all) == verdict::already_done);
  const auto why = refusal(verdict::missing, "c1", "stopped", command::kill);
  CHECK(why.code == errc::not_found);
  CHECK(why.text == "kill: c1: process already finished");
}

TEST_CASE("lifecycle: a process that runs cannot be deleted, one that never ran can") {
  CHECK(answer(process_phase::running, command::remove) == verdict::wrong_state);
  CHECK(answer(process_phase::starting, command::remove) == verdict::wrong_state);
  CHECK(answer(process_phase::created, command::remove) == verdict::proceed);
  CHECK(answer(process_phase::stopped, command::remove) == verdict::proceed);
}

TEST_CASE("lifecycle: repeating start, delete and shutdown is harmless") {
  CHECK(answer(process_phase::starting, command::start) == verdict::join);
  CHECK(answer(process_phase::running, command::start) == verdict::already_done);
  CHECK(answer(process_phase::deleting, command::remove) == verdict::join);
  CHECK(answer(sandbox_phase::stopping, command::shutdown) == verdict::join);
  CHECK(answer(sandbox_phase::stopped, command::shutdown) == verdict::already_done);
}

TEST_CASE("lifecycle: input may be closed and a terminal sized before the process runs") {
  for (const auto phase : {process_phase::creating, process_phase::created}) {
    CHECK(answer(phase, command::close_io) == verdict::remember);
    CHECK(answer(phase, command::resize) == verdict::remember);
  }
}

TEST_CASE("lifecycle: a sandbox that ends takes no new container but still answers for the old") {
  for (const auto phase : {sandbox_phase::stopping, sandbox_phase::stopped}) {
    CHECK(answer(phase, command::create) == verdict::wrong_state);
    CHECK(answer(phase, command::state) == verdict::proceed);
    CHECK(answer(phase, command::remove) == verdict::proceed);
  }
}

TEST_CASE("lifecycle: before the first create there is nothing to find") {
  for (const auto what : all_commands) {
    CAPTURE(name(what));
    const auto expected =
        what == command::create || what == command::shutdown ? verdict::proceed : verdict::missing;
    CHECK(answer(sandbox_phase::fresh, what) == expected);
    CHECK(answer(process_phase::absent, what) == expected);
  }
}
