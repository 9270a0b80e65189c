#include "actors/supervision/io_loop.hpp"

#include <catch2/catch.hpp>

#include <future>
#include <pthread.h>
#include <stdexcept>

using namespace troupe;

TEST_CASE("io loop: a posted job runs on the loop's own named thread", "[supervision]") {
  io_loop loop{"io-test"};
  std::promise<std::pair<bool, std::string>> seen;
  loop.post([&] {
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof name);
    seen.set_value({loop.in_loop_thread(), name});
  });
  const auto [inside, name] = seen.get_future().get();
  CHECK(inside);
  CHECK(name == "io-test");
  CHECK_FALSE(loop.in_loop_thread());
}

TEST_CASE("io loop: a handler that throws does not end the loop", "[supervision]") {
  io_loop loop;
  std::promise<int> after;
  loop.post([] { throw std::runtime_error{"broken handler"}; });
  loop.post([&] { after.set_value(1); });
  CHECK(after.get_future().get() == 1);
}

TEST_CASE("io loop: after a stop posted jobs are dropped", "[supervision]") {
  io_loop loop;
  loop.stop();
  bool ran = false;
  loop.post([&] { ran = true; });
  loop.stop();
  CHECK_FALSE(ran);
}
