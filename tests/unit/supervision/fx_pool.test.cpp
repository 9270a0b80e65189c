#include "actors/supervision/fx_pool.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <future>
#include <pthread.h>
#include <stdexcept>

using namespace troupe;
using namespace std::chrono_literals;

namespace {

/// A job that blocks until the test opens it, and what became of it.
struct gate_job {
  std::promise<void> open;
  std::promise<void> entered;
  std::promise<outcome<void>> answer;
  std::future<outcome<void>> answered = answer.get_future();

  void run(executor& where, job_label label) {
    where.run(
        std::move(label),
        [this, opened = open.get_future().share()]() -> outcome<void> {
          entered.set_value();
          opened.wait();
          return {};
        },
        [this](outcome<void> value) { answer.set_value(std::move(value)); });
  }
  void wait_until_entered() {
    REQUIRE(entered.get_future().wait_for(10s) == std::future_status::ready);
  }
  outcome<void> result() {
    REQUIRE(answered.wait_for(10s) == std::future_status::ready);
    return answered.get();
  }
};

job_label soon(std::string share, std::string stage) {
  return {std::move(share), std::move(stage), monotonic_clock::now() + 5ms};
}

} // namespace

TEST_CASE("fx pool: a job runs on a thread named fx with all signals blocked", "[supervision]") {
  fx_pool pool;
  std::promise<std::pair<std::string, bool>> seen;
  pool.run(
      {"c1", "look"},
      [&]() -> outcome<void> {
        char name[16] = {};
        pthread_getname_np(pthread_self(), name, sizeof name);
        sigset_t mask;
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        seen.set_value({name, sigismember(&mask, SIGTERM) == 1});
        return {};
      },
      [](outcome<void>) {});
  const auto [name, blocked] = seen.get_future().get();
  CHECK(name == "fx");
  CHECK(blocked);
}

TEST_CASE("fx pool: no thread exists before the first job", "[supervision]") {
  const fx_pool pool;
  CHECK(pool.stats().threads == 0);
}

TEST_CASE("fx pool: one share full of blocked jobs does not hold up another", "[supervision]") {
  gate_job one;
  gate_job two;
  gate_job three;
  gate_job other;
  fx_pool pool{{.running_per_share = 2, .threads = 8}};
  one.run(pool, {"greedy", "a"});
  two.run(pool, {"greedy", "b"});
  three.run(pool, {"greedy", "c"});
  one.wait_until_entered();
  two.wait_until_entered();
  CHECK(pool.stats().queued == 1);
  other.run(pool, {"modest", "d"});
  other.wait_until_entered();
  for (auto* job : {&one, &two, &three, &other})
    job->open.set_value();
  for (auto* job : {&one, &two, &three, &other})
    CHECK(job->result());
}

TEST_CASE("fx pool: a job that hangs is reported at its deadline, once, and its share goes on",
          "[supervision]") {
  gate_job stuck;
  gate_job next;
  fx_pool pool{{.running_per_share = 1, .threads = 1}};
  stuck.run(pool, soon("c1", "umount"));
  stuck.wait_until_entered();
  next.run(pool, {"c1", "mount"});
  const auto late = stuck.result();
  REQUIRE_FALSE(late);
  CHECK(late.error() == failure{errc::deadline_exceeded, "umount: still runs at its deadline", 0});
  next.wait_until_entered(); // on a thread of its own
  CHECK(pool.stats().hung == 1);
  next.open.set_value();
  CHECK(next.result());
  stuck.open.set_value(); // a second answer would throw in its promise
  CHECK(pool.close(10s));
}

TEST_CASE("fx pool: a job that never gets its turn is answered at its deadline", "[supervision]") {
  gate_job running;
  gate_job waiting;
  fx_pool pool{{.running_per_share = 1}};
  running.run(pool, {"c1", "a"});
  running.wait_until_entered();
  waiting.run(pool, soon("c1", "b"));
  CHECK(waiting.result().error() ==
        failure{errc::deadline_exceeded, "b: did not get its turn before its deadline", 0});
  running.open.set_value();
  CHECK(running.result());
}

TEST_CASE("fx pool: a share whose queue is full is refused more", "[supervision]") {
  gate_job running;
  gate_job waiting;
  gate_job refused;
  fx_pool pool{{.running_per_share = 1, .queued_per_share = 1}};
  running.run(pool, {"c1", "a"});
  running.wait_until_entered();
  waiting.run(pool, {"c1", "b"});
  refused.run(pool, {"c1", "c"});
  CHECK(refused.result().error() == failure{errc::resource_exhausted, "c: 1 jobs of c1 wait", 0});
  running.open.set_value();
  waiting.open.set_value();
  CHECK(waiting.result());
}

TEST_CASE("fx pool: a share with too many hung jobs is refused more, others are not",
          "[supervision]") {
  gate_job stuck;
  gate_job refused;
  gate_job other;
  fx_pool pool{{.hung_per_share = 1}};
  stuck.run(pool, soon("c1", "a"));
  CHECK_FALSE(stuck.result());
  refused.run(pool, {"c1", "b"});
  CHECK(refused.result().error() == failure{errc::resource_exhausted, "b: 1 jobs of c1 hang", 0});
  other.open.set_value();
  other.run(pool, {"c2", "b"});
  CHECK(other.result());
  stuck.open.set_value();
  CHECK(pool.close(10s));
}

TEST_CASE("fx pool: closing answers what waits with cancelled and names what still hangs",
          "[supervision]") {
  gate_job stuck;
  gate_job waiting;
  gate_job late;
  fx_pool pool{{.running_per_share = 1}};
  stuck.run(pool, {"c1", "umount"});
  stuck.wait_until_entered();
  waiting.run(pool, {"c1", "mount"});
  const auto closed = pool.close(1ms);
  REQUIRE_FALSE(closed);
  CHECK(closed.error().text == "close fx: still running: umount");
  CHECK(waiting.result().error().code == errc::cancelled);
  CHECK(stuck.result().error().code == errc::cancelled);
  late.run(pool, {"c1", "late"});
  CHECK(late.result().error().code == errc::cancelled);
  stuck.open.set_value();
  CHECK(pool.close(10s)); // the hung one came back meanwhile
}

TEST_CASE("fx pool: threads without work end after their linger time", "[supervision]") {
  fx_pool pool{{.linger = 1ms}};
  gate_job job;
  job.open.set_value();
  job.run(pool, {"c1", "a"});
  CHECK(job.result());
  const auto until = monotonic_clock::now() + 10s;
  while (pool.stats().threads != 0 && monotonic_clock::now() < until)
    std::this_thread::yield();
  CHECK(pool.stats().threads == 0);
  gate_job again;
  again.open.set_value();
  again.run(pool, {"c1", "b"});
  CHECK(again.result());
}
