#include "actors/devices/transport/mmio/negotiation.hpp"
#include "actors/devices/virtio/device.hpp"
#include "tests/support/guest_ram.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <map>

using namespace troupe;
using namespace troupe::mmio;
using namespace troupe::testing;

namespace {

class silent final : public bus::irq_line {
public:
  void raise() noexcept override {}
};

constexpr std::uint64_t offered = virtio::ring_features | 4;
constexpr std::array<std::uint16_t, 2> sizes{64, 8};

struct bench {
  void to(std::uint32_t status) {
    for (const auto step : {0x1U, 0x3U, 0xbU, 0xfU})
      if (it.status() < status) {
        if (step == 0xb)
          agree(virtio::feature_version_1);
        (void)it.write(reg::status, step);
      }
    REQUIRE(it.status() == status);
  }
  void agree(std::uint64_t features) {
    set(reg::driver_features_select, 1);
    set(reg::driver_features, static_cast<std::uint32_t>(features >> 32));
    set(reg::driver_features_select, 0);
    set(reg::driver_features, static_cast<std::uint32_t>(features));
  }
  void set(reg where, std::uint32_t value) { CHECK(it.write(where, value) == deed::none); }

  // True when the device took the ring.
  bool latches(std::uint32_t index, std::uint32_t size, gpa descriptors, gpa available, gpa used) {
    set(reg::queue_select, index);
    set(reg::queue_size, size);
    set(reg::queue_descriptors_low, static_cast<std::uint32_t>(descriptors));
    set(reg::queue_descriptors_high, static_cast<std::uint32_t>(descriptors >> 32));
    set(reg::queue_available_low, static_cast<std::uint32_t>(available));
    set(reg::queue_available_high, static_cast<std::uint32_t>(available >> 32));
    set(reg::queue_used_low, static_cast<std::uint32_t>(used));
    set(reg::queue_used_high, static_cast<std::uint32_t>(used >> 32));
    set(reg::queue_ready, 1);
    return it.read(reg::queue_ready) == 1;
  }

  guest_ram ram;
  signals told{std::make_unique<silent>()};
  negotiation it{offered, sizes, ram.memory(), told};
};

} // namespace

TEST_CASE("mmio negotiation: every status written in every state, does what the table says") {
  const std::map<std::uint32_t, std::uint32_t> next{{0x0, 0x1}, {0x1, 0x3}, {0x3, 0xb}, {0xb, 0xf}};
  for (const std::uint32_t from : {0x0U, 0x1U, 0x3U, 0xbU, 0xfU})
    for (const bool broken : {false, true})
      for (std::uint32_t value = 0; value < 0x200; ++value) {
        bench b;
        b.to(from);
        if (from == 0x3)
          b.agree(virtio::feature_version_1);
        if (broken)
          b.told.need_reset(false);
        const auto did = b.it.write(reg::status, value);
        const auto meant = value & ~status_needs_reset;
        const auto gives_up = meant == (from | status_failed);
        const auto steps = !broken && next.contains(from) && next.at(from) == meant;
        auto expected = deed::none;
        if (value == 0)
          expected = deed::reset;
        else if (gives_up && from == 0xf)
          expected = deed::stop;
        else if (steps && meant == 0xf)
          expected = deed::start;
        const auto now = steps || gives_up ? meant : from;
        const auto refused = value != 0 && meant != from && !gives_up && !steps;
        INFO("state " << from << ", write " << value << ", broken " << broken);
        REQUIRE(did == expected);
        REQUIRE(b.it.status() == (now | (broken ? status_needs_reset : 0)));
        REQUIRE(b.it.refused() == (refused ? 1 : 0));
      }
}

TEST_CASE("mmio negotiation: after a driver gave up, only a reset is heard") {
  bench b;
  b.to(0xb);
  b.set(reg::status, 0x8b);
  for (std::uint32_t value = 1; value < 0x100; ++value)
    b.set(reg::status, value);
  CHECK(b.it.status() == 0x8b);
  CHECK(b.it.write(reg::status, 0) == deed::reset);
  b.it.reset();
  CHECK(b.it.status() == 0);
  b.to(0xf);
}

TEST_CASE("mmio negotiation: features are told and taken in two pages") {
  bench b;
  b.set(reg::device_features_select, 0);
  CHECK(b.it.read(reg::device_features) == static_cast<std::uint32_t>(offered));
  b.set(reg::device_features_select, 1);
  CHECK(b.it.read(reg::device_features) == 1);
  b.set(reg::device_features_select, 2);
  CHECK(b.it.read(reg::device_features) == 0);
  b.to(0x3);
  b.agree(offered);
  b.set(reg::status, 0xb);
  CHECK(b.it.status() == 0xb);
  CHECK(b.it.features() == offered);
}

TEST_CASE("mmio negotiation: features that do not fit, leave FEATURES_OK unset") {
  bench b;
  b.to(0x3);
  SECTION("a bit that is not offered") {
    b.agree(virtio::feature_version_1 | 2);
  }
  SECTION("a driver of the time before version 1") {
    b.agree(4);
  }
  SECTION("a bit on a page that does not exist") {
    b.agree(virtio::feature_version_1);
    b.set(reg::driver_features_select, 2);
    b.set(reg::driver_features, 1);
  }
  SECTION("nothing at all") {}
  b.set(reg::status, 0xb);
  CHECK(b.it.status() == 0x3);
  CHECK(b.it.refused() == 1);
}

TEST_CASE("mmio negotiation: features are taken in one state only") {
  bench b;
  b.agree(virtio::feature_version_1);
  b.to(0x1);
  b.agree(virtio::feature_version_1);
  CHECK(b.it.features() == 0);
  CHECK(b.it.refused() == 4);
  b.to(0xb);
  b.agree(0);
  CHECK(b.it.features() == virtio::feature_version_1);
}

TEST_CASE("mmio negotiation: a ring, is latched when it is ready") {
  bench b;
  b.to(0xb);
  CHECK(b.it.read(reg::queue_size_max) == 64);
  REQUIRE(b.latches(0, 16, 0x1000, 0x2000, 0x3000));
  b.set(reg::queue_size, 32); // Too late.
  b.set(reg::queue_used_low, 0x5000);
  CHECK(b.it.refused() == 2);
  REQUIRE(b.latches(1, 8, 0x4000, 0x5000, 0x6000));
  CHECK(b.it.write(reg::status, 0xf) == deed::start);
  const auto queues = b.it.take_queues();
  REQUIRE(queues.size() == 2);
  CHECK(queues[0]->state().size == 16);
  CHECK(queues[0]->state().descriptors == 0x1000);
  CHECK(queues[0]->state().used == 0x3000);
  CHECK(queues[1]->state().available == 0x5000);
  CHECK_FALSE(queues[0]->state().indirect);
  CHECK(b.it.read(reg::queue_ready) == 1);
}

TEST_CASE("mmio negotiation: rings know what was agreed") {
  bench b;
  b.to(0x3);
  b.agree(virtio::feature_version_1 | virtio::feature_event_index | virtio::feature_indirect);
  b.set(reg::status, 0xb);
  REQUIRE(b.latches(0, 16, 0x1000, 0x2000, 0x3000));
  (void)b.it.write(reg::status, 0xf);
  const auto queues = b.it.take_queues();
  CHECK(queues[0]->state().event_index);
  CHECK(queues[0]->state().indirect);
  CHECK(queues[1] == nullptr);
}

TEST_CASE("mmio negotiation: a ring taken back before the start, can be described anew") {
  bench b;
  b.to(0xb);
  REQUIRE(b.latches(0, 16, 0x1000, 0x2000, 0x3000));
  b.set(reg::queue_ready, 0);
  CHECK(b.it.read(reg::queue_ready) == 0);
  REQUIRE(b.latches(0, 32, 0x1000, 0x2000, 0x4000));
  (void)b.it.write(reg::status, 0xf);
  b.set(reg::queue_ready, 0); // While it runs: no.
  CHECK(b.it.read(reg::queue_ready) == 1);
  CHECK(b.it.take_queues()[0]->state().size == 32);
}

TEST_CASE("mmio negotiation: a ring that cannot be, breaks the device until it is reset") {
  struct lie {
    std::uint32_t size;
    gpa descriptors, available, used;
  };
  const auto it = GENERATE(lie{0, 0x1000, 0x2000, 0x3000}, lie{3, 0x1000, 0x2000, 0x3000},
                           lie{128, 0x1000, 0x2000, 0x3000}, lie{0x10010, 0x1000, 0x2000, 0x3000},
                           lie{16, 0x1008, 0x2000, 0x3000}, lie{16, 0x1000, 0x2001, 0x3000},
                           lie{16, 0x1000, 0x2000, 0x3002}, lie{16, mib(1), 0x2000, 0x3000},
                           lie{16, mib(1) - 16, 0x2000, 0x3000}, lie{16, 0x1000, mib(2), 0x3000},
                           lie{16, ~0xfULL, 0x2000, 0x3000}, lie{16, 0x1000, 0x2000, ~0x3ULL});
  bench b;
  b.to(0xb);
  CHECK_FALSE(b.latches(0, it.size, it.descriptors, it.available, it.used));
  CHECK(b.it.status() == (0xb | status_needs_reset));
  CHECK_FALSE(b.latches(0, 16, 0x1000, 0x2000, 0x3000));
  b.set(reg::status, 0xf);
  CHECK(b.it.status() == (0xb | status_needs_reset));
  b.it.reset();
  b.told.clear();
  b.to(0xb);
  CHECK(b.latches(0, 16, 0x1000, 0x2000, 0x3000));
}

TEST_CASE("mmio negotiation: rings are described in one state only, and only those there are") {
  bench b;
  for (const std::uint32_t state : {0x0U, 0x1U, 0x3U}) {
    b.to(state);
    CHECK_FALSE(b.latches(0, 16, 0x1000, 0x2000, 0x3000));
  }
  b.to(0xb);
  CHECK_FALSE(b.latches(2, 16, 0x1000, 0x2000, 0x3000));
  CHECK_FALSE(b.latches(~0U, 16, 0x1000, 0x2000, 0x3000));
  CHECK(b.it.read(reg::queue_size_max) == 0);
  b.set(reg::queue_select, 0);
  b.set(reg::queue_ready, 2);
  CHECK(b.it.read(reg::queue_ready) == 0);
  b.to(0xf);
  CHECK_FALSE(b.latches(0, 16, 0x1000, 0x2000, 0x3000));
}

TEST_CASE("mmio negotiation: there is no shared memory, and unknown registers are zero") {
  bench b;
  CHECK(b.it.read(reg::shared_memory_length_low) == 0xffff'ffff);
  CHECK(b.it.read(reg::shared_memory_length_high) == 0xffff'ffff);
  CHECK(b.it.read(reg::queue_notify) == 0);
  for (std::uint32_t at = 0; at < 0x100; ++at) {
    (void)b.it.read(reg{at});
    if (reg{at} != reg::status)
      b.set(reg{at}, 0xffff'ffff);
  }
  CHECK(b.it.status() == 0);
}
