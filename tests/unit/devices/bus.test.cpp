#include "actors/devices/bus/address_space.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <future>
#include <thread>

using namespace troupe;
using bus::address_space;
using bus::space;

namespace {

// Remembers the last write; answers reads with a number.
class cell final : public bus::target {
public:
  explicit cell(std::uint64_t answer = 0) : answer_(answer) {}
  void read(std::uint64_t offset, std::span<std::byte> into) noexcept override {
    last_offset = offset;
    bus::store(answer_, into);
  }
  void write(std::uint64_t offset, std::span<const std::byte> from) noexcept override {
    last_offset = offset;
    written = bus::load(from);
  }
  std::uint64_t last_offset = 0;
  std::uint64_t written = 0;

private:
  std::uint64_t answer_;
};

std::uint64_t read(address_space& from, std::uint64_t at, std::size_t length) {
  std::array<std::byte, 8> bytes{};
  from.read(at, std::span{bytes}.first(length));
  return bus::load(std::span{bytes}.first(length));
}

void write(address_space& to, std::uint64_t at, std::size_t length, std::uint64_t value) {
  std::array<std::byte, 8> bytes{};
  bus::store(value, bytes);
  to.write(at, std::span<const std::byte>{bytes}.first(length));
}

} // namespace

TEST_CASE("bus: an access reaches its target, with the offset from the start of the range") {
  address_space it{space::mmio};
  const auto low = std::make_shared<cell>(0x1122'3344'5566'7788);
  const auto high = std::make_shared<cell>(7);
  REQUIRE(it.add(0x1000, 0x100, low));
  REQUIRE(it.add(0x1100, 0x100, high));
  CHECK(read(it, 0x1000, 8) == 0x1122'3344'5566'7788);
  CHECK(read(it, 0x10ff, 1) == 0x88);
  CHECK(low->last_offset == 0xff);
  CHECK(read(it, 0x1100, 4) == 7);
  CHECK(high->last_offset == 0);
  write(it, 0x11fc, 4, 0xaabbccdd);
  CHECK(high->written == 0xaabbccdd);
  CHECK(high->last_offset == 0xfc);
  CHECK(it.counters().reads == 3);
  CHECK(it.counters().writes == 1);
  CHECK(it.counters().unknown == 0);
}

TEST_CASE("bus: an address nobody answers for, reads as its space says") {
  address_space ports{space::pio};
  address_space memory{space::mmio};
  CHECK(read(ports, 0x80, 1) == 0xff);
  CHECK(read(ports, 0x80, 4) == 0xffff'ffff);
  CHECK(read(memory, 0xd000'0000, 8) == 0);
  write(memory, 0, 8, 1);
  CHECK(ports.counters().unknown == 2);
  CHECK(memory.counters().unknown == 2);
}

TEST_CASE("bus: odd lengths and accesses across a target's end, reach nobody") {
  address_space it{space::pio};
  const auto only = std::make_shared<cell>(0);
  REQUIRE(it.add(0x60, 5, only));
  CHECK(read(it, 0x60, 3) == 0xff'ffff);
  CHECK(read(it, 0x64, 2) == 0xffff);
  write(it, 0x61, 8, 1);
  CHECK(only->last_offset == 0);
  CHECK(read(it, 0x61, 4) == 0);
  CHECK(it.counters().refused == 3);
}

TEST_CASE("bus: ranges that overlap, are empty or wrap, are refused and change nothing") {
  address_space it{space::mmio};
  const auto one = std::make_shared<cell>(1);
  REQUIRE(it.add(0x1000, 0x1000, one));
  const auto refused = [&](std::uint64_t base, std::uint64_t size) {
    const auto added = it.add(base, size, std::make_shared<cell>(2));
    return added ? errc::internal : added.error().code;
  };
  CHECK(refused(0x1000, 0x1000) == errc::already_exists);
  CHECK(refused(0xfff, 2) == errc::already_exists);
  CHECK(refused(0x1fff, 1) == errc::already_exists);
  CHECK(refused(0, 0x10000) == errc::already_exists);
  CHECK(refused(0x1800, 0x10) == errc::already_exists);
  CHECK(refused(0x3000, 0) == errc::invalid_argument);
  CHECK(refused(~0ULL, 2) == errc::invalid_argument);
  CHECK(it.add(~0ULL, 1, one));
  CHECK(read(it, ~0ULL, 1) == 1);
  CHECK(read(it, 0x1800, 1) == 1);
}

TEST_CASE("bus: a removed target answers no more, and its range is free again") {
  address_space it{space::mmio};
  const auto gone = std::make_shared<cell>(1);
  REQUIRE(it.add(0x1000, 0x1000, gone));
  CHECK(it.remove(0x1001).error().code == errc::not_found);
  REQUIRE(it.remove(0x1000));
  CHECK(gone.use_count() == 1);
  CHECK(read(it, 0x1000, 4) == 0);
  CHECK(it.remove(0x1000).error().code == errc::not_found);
  CHECK(it.add(0x1000, 0x1000, std::make_shared<cell>(2)));
  CHECK(read(it, 0x1000, 4) == 2);
}

TEST_CASE("bus: no more targets than its cap") {
  address_space it{space::mmio};
  const auto one = std::make_shared<cell>();
  for (std::uint64_t i = 0; i < bus::targets_max; ++i)
    REQUIRE(it.add(i * 16, 16, one));
  CHECK(it.add(bus::targets_max * 16, 16, one).error().code == errc::resource_exhausted);
}

TEST_CASE("bus: removal waits for the access that is inside its target") {
  class slow final : public bus::target {
  public:
    void read(std::uint64_t, std::span<std::byte>) noexcept override {
      entered.set_value();
      leave.get_future().wait();
    }
    void write(std::uint64_t, std::span<const std::byte>) noexcept override {}
    std::promise<void> entered;
    std::promise<void> leave;
  };
  address_space it{space::mmio};
  const auto target = std::make_shared<slow>();
  REQUIRE(it.add(0, 8, target));
  std::thread vcpu{[&] { (void)read(it, 0, 8); }};
  target->entered.get_future().wait();
  auto removed = std::async(std::launch::async, [&] { return it.remove(0).has_value(); });
  CHECK(removed.wait_for(std::chrono::milliseconds{50}) == std::future_status::timeout);
  CHECK(read(it, 0x100, 1) == 0); // Others go on meanwhile.
  target->leave.set_value();
  CHECK(removed.get());
  vcpu.join();
}

TEST_CASE("bus: lookups and changes at once, never meet a target that is gone") {
  // Dies loudly: reads after its removal are seen as a wrong answer.
  class guarded final : public bus::target {
  public:
    void read(std::uint64_t, std::span<std::byte> into) noexcept override {
      bus::store(alive ? 1 : 2, into);
    }
    void write(std::uint64_t, std::span<const std::byte>) noexcept override {}
    std::atomic<bool> alive = true;
  };
  address_space it{space::mmio};
  REQUIRE(it.add(0x9000, 8, std::make_shared<cell>(1)));
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> vcpus;
  for (int i = 0; i < 3; ++i)
    vcpus.emplace_back([&] {
      while (!stop) {
        wrong += read(it, 0x1000, 4) == 2 ? 1 : 0;
        wrong += read(it, 0x9000, 4) == 1 ? 0 : 1;
      }
    });
  for (int i = 0; i < 2000; ++i) {
    const auto target = std::make_shared<guarded>();
    REQUIRE(it.add(0x1000, 8, target));
    REQUIRE(it.remove(0x1000));
    target->alive = false;
    REQUIRE(target.use_count() == 1);
  }
  stop = true;
  for (auto& vcpu : vcpus)
    vcpu.join();
  CHECK(wrong == 0);
}
