#include "tests/support/blk_bench.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <map>

using namespace troupe;
using namespace troupe::testing;
using blk::wire::status;
using blk::wire::type;

namespace {

constexpr byte_count size = kib(64);

std::string sectors(char of, std::size_t count = 1) {
  return std::string(count * 512, of);
}

// A disk in memory, whose engine is threads: one keeps order, two let one overtake.
struct machine {
  explicit machine(blk::disk_options with = {}, std::uint64_t features = ~0ULL,
                   blk::geometry shape = {.size = size, .discards = true})
      : b(make(std::move(with), shape), features) {}

  std::shared_ptr<blk::disk> make(blk::disk_options with, const blk::geometry& shape) const {
    with.engine = blk::engine_kind::threads;
    with.drain_limit = milliseconds{100};
    return blk::disk::make(std::make_unique<recording_file>(medium, shape), std::move(with))
        .value();
  }

  std::shared_ptr<recording_file::medium> medium = std::make_shared<recording_file::medium>(size);
  blk_bench b;
};

blk::disk_options one_thread() {
  return {.threads = 1};
}

blk::disk_options faulty(std::string_view plan) {
  return {.threads = 1, .faults = fault_plan::parse_text(plan).value()};
}

template <class T>
T config_field(const blk_bench& b, std::size_t offset) {
  T it{};
  b.device->read_config(static_cast<std::uint32_t>(offset),
                        std::as_writable_bytes(std::span{&it, 1}));
  return it;
}

} // namespace

TEST_CASE("blk device: its configuration, says what the disk is") {
  machine m{{.serial = "a", .queues = 3}};
  using blk::wire::config;
  CHECK(config_field<std::uint64_t>(m.b, offsetof(config, capacity)) == size / 512);
  CHECK(config_field<std::uint32_t>(m.b, offsetof(config, seg_max)) == blk::segments_max);
  CHECK(config_field<std::uint32_t>(m.b, offsetof(config, block_size)) == 512);
  CHECK(config_field<std::uint16_t>(m.b, offsetof(config, queues)) == 3);
  CHECK(config_field<std::uint32_t>(m.b, offsetof(config, max_discard_ranges)) == blk::ranges_max);
  CHECK(config_field<std::uint64_t>(m.b, sizeof(config)) == 0);
  CHECK(config_field<std::uint64_t>(m.b, 0xffff'ffff) == 0);
  CHECK((m.b.device->features() & blk::wire::feature_queues) != 0);
  CHECK((m.b.device->features() & blk::wire::feature_read_only) == 0);
  CHECK(m.b.device->queue_sizes().size() == 3);
}

TEST_CASE("blk device: a read-only disk, says so and offers no discards") {
  machine m{{}, ~0ULL, {.size = size, .read_only = true}};
  const auto features = m.b.device->features();
  CHECK((features & blk::wire::feature_read_only) != 0);
  CHECK((features & (blk::wire::feature_discard | blk::wire::feature_write_zeroes)) == 0);
  m.b.write(0, 0, sectors('x'));
  REQUIRE(m.b.kick());
  CHECK(m.b.answers(0, status::io_error, 1));
  CHECK(m.medium->calls().empty());
}

TEST_CASE("blk device: what was written, is read again and counted") {
  machine m;
  m.b.write(0, 3, sectors('a') + sectors('b'));
  REQUIRE(m.b.kick());
  CHECK(m.b.answers(0, status::ok, 1));
  m.b.read(4, 4, 512);
  REQUIRE(m.b.kick());
  CHECK(m.b.answers(4, status::ok, 513));
  CHECK(m.b.ram.text(m.b.at(4).data, 512) == sectors('b'));
  CHECK(m.b.device->counters().chains == 2);
  CHECK(m.b.device->counters().bytes == 1536);
  CHECK(m.b.device->counters().errors == 0);
  CHECK(m.b.irq.count > 0);
}

TEST_CASE("blk device: flush, discard and zeros, reach the file") {
  machine m{one_thread()};
  m.b.write(0, 0, sectors('x', 8));
  m.b.flush(4);
  m.b.ranges(8, type::discard, {{0, 1, 0}, {7, 1, 0}});
  m.b.ranges(12, type::write_zeroes, {{1, 2, blk::wire::range_unmap}});
  m.b.ranges(16, type::write_zeroes, {{3, 1, 0}});
  REQUIRE(m.b.kick());
  for (std::uint16_t head = 0; head <= 16; head += 4)
    CHECK(m.b.answers(head, status::ok, 1));
  CHECK(m.medium->calls() ==
        std::vector<std::string>{"write", "flush", "discard", "discard", "zero, unmap", "zero"});
  CHECK(m.medium->text(0, 4096) ==
        sectors('?') + sectors('\0', 3) + sectors('x', 3) + sectors('?'));
}

TEST_CASE("blk device: a request without room for a status, is given back untouched") {
  machine m;
  m.b.prepare(0, type::out, 0);
  m.b.ring->add(0, {{m.b.at(0).header, 16, false}, {m.b.at(0).data, 512, false}});
  REQUIRE(m.b.kick());
  CHECK(m.b.answered() == used_entry{0, 0});
  CHECK(m.b.device->counters().errors == 1);
  CHECK(m.medium->calls().empty());
}

TEST_CASE("blk device: a header without the rest, is answered with an error in its last byte") {
  machine m;
  m.b.ram.put(m.b.at(0).data, std::array<std::uint8_t, 3>{1, 2, 3});
  m.b.ring->add(0, {{m.b.at(0).header, 7, false}, {m.b.at(0).data, 3, true}});
  REQUIRE(m.b.kick());
  CHECK(m.b.answered() == used_entry{0, 1});
  CHECK(m.b.ram.get<std::array<std::uint8_t, 3>>(m.b.at(0).data) ==
        std::array<std::uint8_t, 3>{1, 2, 1});
}

TEST_CASE("blk device: a failing file, fails requests and nothing else") {
  machine m;
  for (const auto error : {EIO, ENOSPC}) {
    m.medium->fails = error;
    m.b.read(0, 0, 512);
    m.b.write(4, 0, sectors('x'));
    m.b.flush(8);
    REQUIRE(m.b.kick());
    for (int i = 0; i < 3; ++i) {
      const auto used = m.b.answered();
      REQUIRE(used);
      CHECK(used->written == 1);
      CHECK(m.b.ram.get<std::uint8_t>(m.b.at(static_cast<std::uint16_t>(used->head)).status) == 1);
    }
  }
  CHECK(m.b.device->counters().errors == 6);
  m.medium->fails = EOPNOTSUPP;
  m.b.ranges(0, type::discard, {{0, 1, 0}});
  REQUIRE(m.b.kick());
  CHECK(m.b.answers(0, status::unsupported, 1));
  m.medium->fails = 0;
  m.b.read(0, 0, 512);
  REQUIRE(m.b.kick());
  CHECK(m.b.answers(0, status::ok, 513));
  CHECK_FALSE(m.b.failed);
}

TEST_CASE("blk device: two requests that name one head, are a lie of the guest") {
  machine m;
  m.medium->close_gate();
  m.b.read(0, 0, 512);
  m.b.ring->offer(0);
  const auto result = m.b.kick();
  m.medium->open_gate();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == errc::guest_fault);
}

TEST_CASE("blk device: power that fails after a flush, takes only what was not flushed") {
  machine m;
  m.b.write(0, 0, sectors('a'));
  REQUIRE(m.b.kick());
  REQUIRE(m.b.answers(0, status::ok, 1));
  m.b.flush(0);
  REQUIRE(m.b.kick());
  REQUIRE(m.b.answers(0, status::ok, 1));
  m.b.write(0, 1, sectors('b'));
  REQUIRE(m.b.kick());
  REQUIRE(m.b.answers(0, status::ok, 1));
  CHECK(m.medium->after_power_cut().substr(0, 1024) == sectors('a') + sectors('\0'));
}

TEST_CASE("blk device: a driver without flushes, has each write safe when it is answered") {
  machine m{{}, ~blk::wire::feature_flush};
  m.b.write(0, 0, sectors('a'));
  m.b.ranges(4, type::write_zeroes, {{1, 1, 0}});
  REQUIRE(m.b.kick());
  REQUIRE(m.b.answered());
  REQUIRE(m.b.answered());
  CHECK(m.medium->after_power_cut().substr(0, 512) == sectors('a'));
  const auto calls = m.medium->calls();
  CHECK(std::count(calls.begin(), calls.end(), "durable write") == 1);
  CHECK(std::count(calls.begin(), calls.end(), "flush") == 1); // behind the zeros
}

TEST_CASE("blk device: the cache's mode, is the driver's to choose and outlives the logic") {
  machine m;
  const auto offset = static_cast<std::uint32_t>(offsetof(blk::wire::config, writeback));
  const std::array through{std::byte{0}};
  CHECK(config_field<std::uint8_t>(m.b, offset) == 1);
  REQUIRE(m.b.device->write_config(offset, through));
  CHECK(config_field<std::uint8_t>(m.b, offset) == 0);
  m.b.rebuild();
  CHECK(config_field<std::uint8_t>(m.b, offset) == 0);
  m.b.write(0, 0, sectors('a'));
  REQUIRE(m.b.kick());
  REQUIRE(m.b.answers(0, status::ok, 1));
  CHECK(m.medium->after_power_cut().substr(0, 512) == sectors('a'));
}

TEST_CASE("blk device: other writes to the configuration, are lies") {
  machine m;
  const auto offset = static_cast<std::uint32_t>(offsetof(blk::wire::config, writeback));
  const std::array two{std::byte{2}};
  const std::array wide{std::byte{0}, std::byte{0}};
  CHECK(m.b.device->write_config(offset, two).error().code == errc::guest_fault);
  CHECK(m.b.device->write_config(offset, wide).error().code == errc::guest_fault);
  CHECK(m.b.device->write_config(0, {two.data(), 1}).error().code == errc::guest_fault);
}

TEST_CASE("blk device: logic that dies over a request twice, fails it and goes on") {
  machine m{faulty("slot:blk:taken throw @1\nslot:blk:taken throw @2")};
  m.b.read(0, 0, 512);
  m.b.read(4, 0, 512);
  REQUIRE(m.b.kick_throws());
  m.b.rebuild();
  std::map<std::uint32_t, std::uint32_t> written;
  for (int i = 0; i < 2; ++i) {
    const auto used = m.b.answered();
    REQUIRE(used);
    written[used->head] = used->written;
  }
  CHECK(written == std::map<std::uint32_t, std::uint32_t>{{0, 1}, {4, 513}});
  CHECK(m.b.ram.get<std::uint8_t>(m.b.at(0).status) == 1);
  CHECK(m.b.ram.get<std::uint8_t>(m.b.at(4).status) == 0);
  CHECK(m.b.crashes == 2);
  CHECK(m.b.silent());
}

TEST_CASE("blk device: an errno of the fault plan, is the file's without the file being asked") {
  machine m{faulty("slot:blk:taken fail(ENOSPC) @1")};
  m.b.write(0, 0, sectors('x'));
  REQUIRE(m.b.kick());
  CHECK(m.b.answers(0, status::io_error, 1));
  CHECK(m.medium->calls().empty());
}

TEST_CASE("blk device: logic that dies with requests in flight, answers each of them once") {
  for (const auto* const stage : {"slot:blk:executing throw @2", "slot:blk:result throw @2"}) {
    machine m{faulty(stage)};
    for (std::uint16_t head = 0; head < 16; head += 4)
      m.b.write(head, head, sectors(static_cast<char>('a' + head)));
    // Where it dies depends on the thread: within process, or later on its event.
    if (m.b.kick_throws())
      m.b.rebuild();
    std::array<int, 16> answers{};
    for (int i = 0; i < 4; ++i) {
      const auto used = m.b.answered();
      REQUIRE(used);
      ++answers[used->head];
    }
    for (std::uint16_t head = 0; head < 16; head += 4) {
      CHECK(answers[head] == 1);
      CHECK(m.medium->text(head * 512, 512) == sectors(static_cast<char>('a' + head)));
    }
    CHECK(m.b.silent());
    CHECK(m.b.crashes == 1);
    CHECK(m.medium->calls().size() == 4);
    CHECK(m.b.queue->in_flight() == 0);
  }
}

TEST_CASE("blk device: requests that hang over a crash, are done once and answered by the new "
          "logic") {
  machine m{one_thread()};
  m.medium->close_gate();
  m.b.write(0, 0, sectors('a')); // hangs in the file
  m.b.write(4, 1, sectors('b')); // waits for the thread: cancelled
  REQUIRE(m.b.kick());
  m.medium->await_calls(1);
  m.b.rebuild();
  CHECK(m.b.silent());
  CHECK(m.b.queue->in_flight() == 2);
  m.medium->open_gate();
  CHECK(m.b.answers(0, status::ok, 1));
  CHECK(m.b.answers(4, status::ok, 1));
  CHECK(m.b.silent());
  CHECK(m.medium->calls().size() == 2);
}

TEST_CASE("blk device: a result that came while there was no logic, is told by the next") {
  machine m{one_thread()};
  m.medium->close_gate();
  m.b.read(0, 0, 512);
  REQUIRE(m.b.kick());
  m.medium->await_calls(1);
  m.b.on_loop([&] { m.b.device->reset(); });
  m.medium->open_gate();
  m.b.on_loop([&] { m.b.disk->drain(); });
  CHECK(m.b.silent());
  m.b.device = std::make_unique<blk::device>(m.b.disk);
  m.b.activate();
  CHECK(m.b.answers(0, status::ok, 513));
  CHECK(m.medium->calls().size() == 1);
}

TEST_CASE("blk device: a cancelled request, is not to blame for it") {
  machine m{one_thread()};
  m.medium->close_gate();
  m.b.write(0, 0, sectors('a'));
  m.b.write(4, 1, sectors('b'));
  REQUIRE(m.b.kick());
  m.medium->await_calls(1);
  for (int i = 0; i < virtio::max_attempts + 1; ++i)
    m.b.rebuild();
  m.medium->open_gate();
  CHECK(m.b.answers(0, status::ok, 1));
  CHECK(m.b.answers(4, status::ok, 1));
}

TEST_CASE("blk device: a reset with requests in flight, answers what is done in time") {
  machine m;
  for (std::uint16_t head = 0; head < 32; head += 4)
    m.b.write(head, head, sectors('r'));
  REQUIRE(m.b.kick());
  m.b.on_loop([&] { m.b.device->reset(); });
  CHECK(m.b.queue->in_flight() == 0);
  CHECK(m.b.ring->used_index() == 8);
  CHECK(m.medium->calls().size() == 8);
}

TEST_CASE("blk device: a new driver, waits for the hanging requests of the last one") {
  machine m{{.threads = 2}};
  m.medium->close_gate();
  m.b.write(0, 0, sectors('a'));
  REQUIRE(m.b.kick());
  m.medium->await_calls(1);
  m.b.on_loop([&] { m.b.device->reset(); });
  m.b.attach();
  m.b.activate();
  m.b.write(0, 0, sectors('b'));
  REQUIRE(m.b.kick());
  CHECK(m.b.silent());
  CHECK(m.medium->calls().size() == 1);
  m.medium->open_gate();
  CHECK(m.b.answers(0, status::ok, 1));
  CHECK(m.b.silent());
  CHECK(m.medium->text(0, 512) == sectors('b'));
}

TEST_CASE("blk device: paused, it has answered what it took and takes nothing until resumed") {
  machine m;
  m.b.write(0, 0, sectors('a'));
  REQUIRE(m.b.kick());
  m.b.on_loop([&] { m.b.device->pause(); });
  CHECK(m.b.answers(0, status::ok, 1));
  m.b.write(4, 1, sectors('b'));
  REQUIRE(m.b.kick());
  CHECK(m.b.silent());
  CHECK(m.medium->calls().size() == 1);
  m.b.on_loop([&] { must(m.b.device->resume(m.b.ram.memory())); });
  CHECK(m.b.answers(4, status::ok, 1));
}

TEST_CASE("blk device: a pause cut short by a hanging file, loses no request") {
  machine m{one_thread()};
  m.medium->close_gate();
  m.b.write(0, 0, sectors('a'));
  m.b.write(4, 1, sectors('b'));
  REQUIRE(m.b.kick());
  m.medium->await_calls(1);
  m.b.on_loop([&] { m.b.device->pause(); });
  m.medium->open_gate();
  CHECK(m.b.silent());
  m.b.on_loop([&] { must(m.b.device->resume(m.b.ram.memory())); });
  CHECK(m.b.answers(0, status::ok, 1));
  CHECK(m.b.answers(4, status::ok, 1));
  CHECK(m.medium->calls().size() == 2);
}

TEST_CASE("blk device: more bytes than may be in flight, wait in the ring") {
  auto medium = std::make_shared<recording_file::medium>(mib(16));
  auto disk = blk::disk::make(std::make_unique<recording_file>(
                                  medium, blk::geometry{.size = mib(16), .discards = true}),
                              {.engine = blk::engine_kind::threads, .threads = 1})
                  .value();
  blk_bench b{disk, ~0ULL, mib(8)};
  medium->close_gate();
  constexpr std::uint32_t part = 4U << 20; // thrice the same memory
  for (std::uint16_t head = 0; head < 40; head += 5) {
    b.prepare(head, type::in, 0);
    b.ring->add(head, {{b.at(head).header, 16, false},
                       {mib(4), part, true},
                       {mib(4), part, true},
                       {mib(4), part, true},
                       {b.at(head).status, 1, true}});
  }
  REQUIRE(b.kick());
  CHECK(b.queue->in_flight() == 6); // 72 MiB
  medium->open_gate();
  for (int i = 0; i < 8; ++i)
    CHECK(b.answered());
}

TEST_CASE("blk disk: options out of range, are refused by name") {
  const auto refused = [](blk::disk_options with) {
    auto medium = std::make_shared<recording_file::medium>(size);
    with.engine = blk::engine_kind::threads;
    const auto it = blk::disk::make(
        std::make_unique<recording_file>(medium, blk::geometry{.size = size}), std::move(with));
    REQUIRE_FALSE(it);
    CHECK(it.error().code == errc::invalid_argument);
    return it.error().text;
  };
  CHECK_THAT(refused({.serial = std::string(21, 's')}), Catch::Contains("serial"));
  CHECK_THAT(refused({.queues = 0}), Catch::Contains("queues 0"));
  CHECK_THAT(refused({.queues = 17}), Catch::Contains("queues 17"));
  CHECK_THAT(refused({.threads = 0}), Catch::Contains("threads 0"));
  CHECK_THAT(refused({.threads = 17}), Catch::Contains("threads 17"));
}
