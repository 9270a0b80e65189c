#include "actors/devices/virtio/rng/device.hpp"
#include "tests/support/guest_ram.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>

using namespace troupe;
using namespace troupe::testing;

namespace {

constexpr gpa ring_at = 0x10000;
constexpr gpa data_at = 0x40000;

struct bench {
  explicit bench(rng::source from = rng::host_entropy) : device(std::move(from)) {
    virtio::activation with;
    with.memory = ram.memory();
    with.queues = {queue.get()};
    must(device.activate(std::move(with)));
  }

  guest_ram ram;
  driver_ring ring{ram, ring_at, 64};
  interrupt_counter irq;
  std::unique_ptr<virtio::queue> queue =
      virtio::queue::attach(ring.state(), 256, ram.memory(), irq).value();
  rng::device device;
};

outcome<void> sevens(std::span<std::byte> into) {
  std::ranges::fill(into, std::byte{7});
  return {};
}

} // namespace

TEST_CASE("rng device: a buffer, is filled whole, and twice not alike") {
  bench b;
  b.ring.add(0, {{data_at, 64, true}});
  b.ring.add(1, {{data_at + 64, 40, true}, {data_at + 104, 24, true}});
  CHECK(b.device.process(0).value() == virtio::progress::idle);
  CHECK(b.ring.take_used() == used_entry{0, 64});
  CHECK(b.ring.take_used() == used_entry{1, 64});
  const auto one = b.ram.text(data_at, 64);
  const auto two = b.ram.text(data_at + 64, 64);
  CHECK(one != two);
  CHECK(std::count(one.begin(), one.end(), '\0') < 16);
  CHECK(std::count(two.begin(), two.end(), '\0') < 16);
  CHECK(b.irq.count == 1);
}

TEST_CASE("rng device: no request gets more than its share") {
  bench b{sevens};
  b.ring.add(0, {{data_at, 0x10000, true}});
  REQUIRE(b.device.process(0));
  CHECK(b.ring.take_used() == used_entry{0, rng::request_bytes_max});
  CHECK(b.ram.get<std::uint8_t>(data_at + rng::request_bytes_max - 1) == 7);
  CHECK(b.ram.get<std::uint8_t>(data_at + rng::request_bytes_max) == 0);
}

TEST_CASE("rng device: a greedy guest, has no more than a turn at a time") {
  bench b{sevens};
  for (std::uint16_t i = 0; i < 40; ++i)
    b.ring.add(i, {{data_at, 64, true}});
  CHECK(b.device.process(0).value() == virtio::progress::more);
  CHECK(b.ring.used_index() == rng::requests_per_turn);
  CHECK(b.device.process(0).value() == virtio::progress::more);
  CHECK(b.device.process(0).value() == virtio::progress::idle);
  CHECK(b.ring.used_index() == 40);
}

TEST_CASE("rng device: buffers it may not write, are given back untouched") {
  bench b{sevens};
  b.ring.add(0, {{data_at, 64, false}});
  REQUIRE(b.device.process(0));
  CHECK(b.ring.take_used() == used_entry{0, 0});
  CHECK(b.ram.get<std::uint8_t>(data_at) == 0);
  CHECK(b.device.counters().errors == 1);
}

TEST_CASE("rng device: without entropy, says that it gave none") {
  bench b{[](std::span<std::byte>) -> outcome<void> { return fail_errno("getrandom", ENOSYS); }};
  b.ring.add(0, {{data_at, 64, true}});
  REQUIRE(b.device.process(0));
  CHECK(b.ring.take_used() == used_entry{0, 0});
  CHECK(b.device.counters().errors == 1);
}

TEST_CASE("rng device: a request that keeps killing the logic, is given back empty") {
  bench b{[](std::span<std::byte>) -> outcome<void> { throw std::runtime_error("poison"); }};
  b.ring.add(0, {{data_at, 64, true}});
  for (int i = 0; i < virtio::max_attempts; ++i) {
    CHECK_THROWS(b.device.process(0));
    b.queue->requeue_taken();
  }
  REQUIRE(b.device.process(0));
  CHECK(b.ring.take_used() == used_entry{0, 0});
}

TEST_CASE("rng device: paused or reset, it touches no ring") {
  bench b{sevens};
  b.device.pause();
  b.ring.add(0, {{data_at, 64, true}});
  REQUIRE(b.device.process(0));
  CHECK_FALSE(b.ring.take_used());
  must(b.device.resume(b.ram.memory()));
  REQUIRE(b.device.process(0));
  CHECK(b.ring.take_used());
  b.device.reset();
  b.ring.add(1, {{data_at, 64, true}});
  REQUIRE(b.device.process(0));
  CHECK_FALSE(b.ring.take_used());
  CHECK(b.device.process(7).value() == virtio::progress::idle);
}
