#include "actors/devices/worker.hpp"

#include "actors/devices/blocking_worker.hpp"
#include "messages/vocabulary/log.hpp"

#include <catch2/catch.hpp>

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <future>
#include <stdexcept>

using namespace troupe;
using namespace troupe::devices;
using namespace std::chrono_literals;

namespace {

std::unique_ptr<worker> started() {
  return worker::start("test").value();
}

} // namespace

TEST_CASE("worker: posted tasks, run in order on its own thread") {
  const auto it = started();
  std::vector<int> order;
  it->post("one", [&] { order.push_back(1); });
  it->post("two", [&] { order.push_back(it->on_thread() ? 2 : -2); });
  REQUIRE(it->run(
      "three", [&] { order.push_back(3); }, 5000ms));
  CHECK(order == std::vector{1, 2, 3});
  CHECK_FALSE(it->on_thread());
}

TEST_CASE("worker: a descriptor that becomes ready, is told until it is unwatched") {
  const auto it = started();
  const unique_fd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::promise<std::uint32_t> told;
  worker::watch_id id = 0;
  REQUIRE(it->run(
      "watch",
      [&] {
        id = it->watch("event", event.get(), EPOLLIN, [&](std::uint32_t what) {
                 it->unwatch(id); // Still ready, yet never told again.
                 told.set_value(what);
               }).value();
      },
      5000ms));
  ::eventfd_write(event.get(), 1);
  auto what = told.get_future();
  REQUIRE(what.wait_for(5s) == std::future_status::ready);
  CHECK(what.get() == EPOLLIN);
  CHECK(it->run(
      "later", [] {}, 5000ms));
}

TEST_CASE("worker: timers, run once in the order they are due unless cancelled") {
  const auto it = started();
  std::vector<int> order;
  std::promise<void> done;
  it->post("timers", [&] {
    it->after("second", 2ms, [&] { order.push_back(2); });
    it->after("first", 1ms, [&] { order.push_back(1); });
    it->cancel(it->after("never", 1ms, [&] { order.push_back(-1); }));
    it->after("last", 3ms, [&] { done.set_value(); });
  });
  REQUIRE(done.get_future().wait_for(5s) == std::future_status::ready);
  CHECK(order == std::vector{1, 2});
}

TEST_CASE("worker: a handler that throws, is named and the thread lives on") {
  std::string logged;
  log::set_sink([&](const log::record& it) { logged = fmt::format("{}: {}", it.who, it.text); });
  {
    const auto it = started();
    it->post("vsock/c1", [] { throw std::runtime_error("boom"); });
    CHECK(it->run(
        "after", [] {}, 5000ms));
  }
  log::set_sink({});
  CHECK(logged == "vsock/c1: unhandled exception: boom");
}

TEST_CASE("worker: a run that does not come in time, fails by its name") {
  const auto it = started();
  std::promise<void> release;
  it->post("slow", [gate = release.get_future().share()] { gate.wait(); });
  const auto late = it->run(
      "stop of c1", [] {}, 1ms);
  release.set_value();
  REQUIRE_FALSE(late);
  CHECK(late.error().code == errc::deadline_exceeded);
  CHECK_THAT(late.error().text, Catch::StartsWith("stop of c1"));
}

TEST_CASE("blocking worker: drained, everything submitted before has run") {
  const auto it = blocking_worker::start("test", 2, 64).value();
  std::atomic<int> ran = 0;
  for (int i = 0; i < 32; ++i)
    REQUIRE(it->submit([&] { ++ran; }));
  it->drain();
  CHECK(ran == 32);
}

TEST_CASE("blocking worker: more waiting tasks than its limit, are refused") {
  const auto it = blocking_worker::start("test", 1, 1).value();
  std::promise<void> running;
  std::promise<void> release;
  REQUIRE(it->submit([&, gate = release.get_future().share()] {
    running.set_value();
    gate.wait();
  }));
  running.get_future().wait();
  REQUIRE(it->submit([] {}));
  CHECK(it->submit([] {}).error().code == errc::resource_exhausted);
  release.set_value();
  it->drain();
}
