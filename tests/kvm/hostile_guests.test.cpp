// Guests that mean no good: each end has its name, takes no longer than it may, and leaves nothing.
#include "actors/devices/virtio/blk/device.hpp"
#include "actors/devices/virtio/blk/host_file.hpp"
#include "actors/devices/virtio/console/device.hpp"
#include "actors/devices/virtio/fs/device.hpp"
#include "actors/devices/virtio/rng/device.hpp"
#include "actors/devices/virtio/vsock/device.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/kvm/bare_machine.hpp"
#include "tests/kvm/footprint.hpp"
#include "tests/kvm/machine.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>

#include <atomic>
#include <future>
#include <thread>

using namespace troupe;
using namespace troupe::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using vcpu::machine_end;

namespace {

/// The process before and after: nothing may stay.
class leaves_nothing {
public:
  ~leaves_nothing() { CHECK(settled(before_) == before_); }

private:
  footprint before_ = measure();
};

std::unique_ptr<virtio::device> some_disk(const test::scratch_folder& folder) {
  unique_fd file{::open(folder.file("disk").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  REQUIRE(::ftruncate(file.get(), 1 << 20) == 0);
  return std::make_unique<blk::device>(
      must(blk::disk::make(must(blk::host_file::adopt(std::move(file), false)), {})));
}

vcpu::machine_order five_windows() {
  auto out = small_order();
  out.windows = 5;
  return out;
}

void plug_one_of_each(bare_machine& m, const test::scratch_folder& folder) {
  (void)m.plug(must(virtio::fs_device::make(std::make_shared<fuse::session>(), {})));
  (void)m.plug(some_disk(folder));
  (void)m.plug(std::make_unique<rng::device>());
  (void)m.plug(
      std::make_unique<console::device>(std::make_shared<console::port>([](std::string_view) {})));
  (void)m.plug(
      std::make_unique<vsock::device>(3, must(vsock::endpoint::listen(folder.file("vsock")))));
}

void check_good(bare_machine& m, const vcpu::ending& how) {
  INFO(story(m, how));
  CHECK(how.why == machine_end::exit_code);
  CHECK(how.code == 0);
}

} // namespace

TEST_CASE("hostile: spins or sleeps for ever: ended from outside, in time") {
  const auto* const guest = GENERATE("spin", "halt");
  const auto cpus = GENERATE(1U, 3U);
  const leaves_nothing check;
  auto order = small_order();
  order.vcpus = order.max_vcpus = cpus;
  bare_machine m{order};
  m.boot(guest);
  CHECK_FALSE(m.it().how());
  REQUIRE(m.it().pause(teardown_bound));
  REQUIRE(m.it().resume());
  REQUIRE(m.it().end(teardown_bound));
  CHECK(m.it().how()->why == machine_end::asked);
  CHECK(m.told() == 1);
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: a triple fault is told with registers and code") {
  const leaves_nothing check;
  bare_machine m;
  const auto how = m.run("triple");
  CHECK(how.why == machine_end::fault);
  CHECK_THAT(how.text, StartsWith("triple fault: rip="));
  CHECK_THAT(how.text, Contains("rax=1234abcd"));
  CHECK_THAT(how.text, Contains("code=0f 0b"));
  CHECK(m.told() == 1);
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: an instruction that KVM refuses is told with its bytes") {
  const leaves_nothing check;
  bare_machine m;
  const auto how = m.run("refused");
  INFO(story(m, how));
  CHECK(how.why == machine_end::failed);
  CHECK_THAT(how.text, StartsWith("KVM cannot emulate the instruction: rip="));
  CHECK_THAT(how.text, Contains("code=f3 0f b8"));
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: power off, reset and panic have their own names") {
  const leaves_nothing check;
  bare_machine off;
  CHECK(off.run("power_off").why == machine_end::power_off);
  bare_machine again;
  CHECK(again.run("reset").why == machine_end::reset);
  bare_machine panicked;
  const auto words = panicked.run("panic");
  CHECK(words.why == machine_end::panic);
  CHECK(words.text == "Kernel panic - not syncing: nothing to do");
  for (auto* it : {&off, &again, &panicked}) {
    CHECK(it->told() == 1);
    CHECK_FALSE(it->it().resume());
    CHECK(it->tear_down() < teardown_bound);
    CHECK(it->told() == 1);
  }
}

TEST_CASE("hostile: rubbish in every register and port: the machine lives to the end of it") {
  const auto seed = GENERATE(7, 4242);
  const test::scratch_folder folder;
  const leaves_nothing check;
  bare_machine m{five_windows()};
  plug_one_of_each(m, folder);
  check_good(m, m.run("rubbish", "windows=5 seed=" + std::to_string(seed)));
  CHECK(m.it().mmio_accesses().writes > 5 * 1024);
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: rubbish in ports that end machines ends it in order") {
  constexpr auto seed = 11;
  const test::scratch_folder folder;
  const leaves_nothing check;
  bare_machine m{five_windows()};
  plug_one_of_each(m, folder);
  const auto how = m.run("rubbish", "windows=5 raw=1 seed=" + std::to_string(seed));
  INFO(story(m, how));
  CHECK(how.why != machine_end::failed);
  CHECK(how.why != machine_end::fault);
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: rings and buffers where no memory is are refused, and a reset mends it") {
  const leaves_nothing check;
  bare_machine m;
  auto& session = m.plug(std::make_unique<rng::device>());
  check_good(m, m.run("wild_queues"));
  CHECK(must(session.stats(teardown_bound)).overdue == 0);
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: a flood on the serial port leaves a short log and a short tail") {
  std::atomic<std::size_t> lines = 0;
  std::atomic<std::size_t> bytes = 0;
  log::set_sink([&](const log::record& it) {
    ++lines;
    bytes += it.text.size();
  });
  {
    const leaves_nothing check;
    bare_machine m;
    check_good(m, m.run("flood", "times=1"));
    const auto tail = m.it().console().tail();
    CHECK(tail.size() <= vcpu::console_lines);
    for (const auto& line : tail)
      CHECK(line.size() <= console::max_text_line);
    CHECK(m.tear_down() < teardown_bound);
  }
  log::set_sink({});
  CHECK(lines > 0);
  CHECK(lines < 2000); // Of some 24,000.
  CHECK(bytes < lines * console::max_text_line);
}

TEST_CASE("hostile: a storm of kicks: the device still answers, and no doorbell comes by the bus") {
  const leaves_nothing check;
  bare_machine m;
  auto& session = m.plug(std::make_unique<rng::device>());
  check_good(m, m.run("kicks", "times=20000"));
  const auto stats = must(session.stats(teardown_bound));
  CHECK(stats.register_kicks == 0);
  CHECK(stats.refused > 0);
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: ended in the middle of a storm, or of resets") {
  const test::scratch_folder folder;
  const leaves_nothing check;
  bare_machine storm;
  (void)storm.plug(std::make_unique<rng::device>());
  storm.boot("kicks", "times=0");
  storm.wait_line("storm");
  REQUIRE(storm.it().end(teardown_bound));
  CHECK(storm.it().how()->why == machine_end::asked);
  CHECK(storm.tear_down() < teardown_bound);
  bare_machine resets;
  auto& session = resets.plug(some_disk(folder));
  resets.boot("device_reset", "rounds=1000000000");
  while (must(session.stats(guest_patience)).resets < 20 && !resets.it().how())
    continue;
  REQUIRE(resets.it().end(teardown_bound));
  CHECK(resets.it().how()->why == machine_end::asked);
  CHECK(resets.tear_down() < teardown_bound);
}

TEST_CASE("hostile: three processors at the same devices at a time; they work after a reset") {
  const auto seed = GENERATE(1, 2);
  const test::scratch_folder folder;
  const leaves_nothing check;
  auto order = five_windows();
  order.vcpus = order.max_vcpus = 3;
  bare_machine m{order};
  plug_one_of_each(m, folder);
  check_good(m, m.run("brawl", "windows=5 cpus=3 rounds=4000 seed=" + std::to_string(seed)));
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: rubbish in the kernel's own chips: ended from outside, if not by itself") {
  const auto seed = GENERATE(3, 5);
  const leaves_nothing check;
  bare_machine m;
  m.boot("chips", "seed=" + std::to_string(seed));
  m.wait_line("chips");
  const auto some_time = monotonic_clock::now() + milliseconds{100};
  while (!m.it().how() && monotonic_clock::now() < some_time)
    std::this_thread::yield();
  REQUIRE(m.it().end(teardown_bound));
  CHECK(m.told() == 1);
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: a device whose worker hangs costs a wait, then the machine ends as any other") {
  const leaves_nothing check;
  std::promise<void> let_go;
  bare_machine m;
  (void)m.plug(std::make_unique<rng::device>());
  m.loop().post("hang", [go = let_go.get_future().share()] { go.wait(); });
  m.boot("rng");
  SECTION("ended while the processor waits") {
    while (m.it().mmio_accesses().writes < 5 && !m.it().how())
      std::this_thread::yield();
    REQUIRE(m.it().end(teardown_bound));
    CHECK(m.it().how()->why == machine_end::asked);
  }
  SECTION("the guest reads that the device is lost") {
    const auto how = m.wait();
    CHECK(how.why == machine_end::exit_code);
    CHECK_THAT(story(m, how), Contains("reg(of, REG_STATUS) == STATUS_RUNNING"));
  }
  let_go.set_value();
  CHECK(m.tear_down() < teardown_bound);
}

TEST_CASE("hostile: a machine that was ended before it was booted never runs") {
  const leaves_nothing check;
  bare_machine m;
  REQUIRE(m.it().end(teardown_bound));
  const auto booted = m.it().boot({guest_file("spin"), {}, {}});
  REQUIRE_FALSE(booted);
  CHECK(booted.error().code == errc::machine_gone);
  CHECK(m.told() == 1);
}
