#include "actors/devices/transport/mmio/session.hpp"
#include "tests/support/mmio_driver.hpp"
#include "tests/support/scripted_device.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <future>
#include <thread>

using namespace troupe;
using namespace troupe::mmio;
using namespace troupe::testing;

namespace {

constexpr milliseconds limit{5000};
constexpr gpa base = 0xd000'0000;
constexpr gpa ring_at = 0x10000;
constexpr gpa ring_stride = 0x8000;
constexpr gpa data_at = 0x40000;

// One device behind a window, and its driver.
struct bench {
  explicit bench(script what = {}, session_options how = {}, bool has_doorbells = true)
      : plan(std::move(what)) {
    machine.has_doorbells = has_doorbells;
    how.base = base;
    how.gsi = 5;
    clear_rings();
    served =
        session::start(std::make_unique<scripted_device>(plan), ram.memory(), *loop, machine, how,
                       {.activated = [this] { ++activated; },
                        .failed = [this](failure why) { failures.push_back(std::move(why)); }})
            .value();
    must(memory_bus.add(base, window_bytes, served->registers()));
  }
  ~bench() {
    must(memory_bus.remove(base));
    served.reset();
  }
  bench(const bench&) = delete;
  bench& operator=(const bench&) = delete;

  // What was signalled before has been handled: a task posted from within one turn of the worker
  // runs after the readiness that the next turn saw.
  void settle() {
    for (int i = 0; i < 2; ++i)
      must(loop->run(
          "settle", [] {}, limit));
  }
  void clear_rings() {
    rings.clear();
    for (std::size_t i = 0; i < plan.queue_sizes.size(); ++i) {
      auto& it = rings.emplace_back(ram, ring_at + ring_stride * i, plan.queue_sizes[i]);
      it.set_index(0);
      must(ram.memory()->store_u16(it.state().used + 2, 0));
    }
  }
  // As a driver does it from the beginning, with empty rings.
  bool start() {
    if (!driver.agree())
      return false;
    clear_rings();
    for (std::uint32_t i = 0; i < rings.size(); ++i)
      if (!driver.set_up(i, rings[i].state()))
        return false;
    driver.run();
    return driver.status() == 0xf;
  }
  void offer(std::uint16_t head, std::uint32_t queue = 0) {
    rings[queue].add(head, {{data_at + 16ULL * head, 16, true}});
    driver.kick(queue);
    settle();
  }
  std::optional<used_entry> used(std::uint32_t queue = 0) { return rings[queue].take_used(); }
  // Reads the interrupt's reason and acknowledges it.
  std::uint32_t interrupt() {
    const auto why = driver.get(reg::interrupt_status);
    driver.set(reg::interrupt_acknowledge, why);
    return why;
  }
  void replace() { must(served->replace_device(std::make_unique<scripted_device>(plan), limit)); }

  script plan;
  guest_ram ram;
  std::vector<driver_ring> rings;
  fake_machine machine;
  std::unique_ptr<devices::worker> loop = devices::worker::start("test").value();
  int activated = 0;
  std::vector<failure> failures;
  bus::address_space memory_bus{bus::space::mmio};
  mmio_driver driver{memory_bus, machine, base};
  std::unique_ptr<session> served;
};

script with_queues(std::vector<std::uint16_t> sizes) {
  script it;
  it.queue_sizes = std::move(sizes);
  return it;
}

// Holds a worker until it is let go.
class hold {
public:
  explicit hold(devices::worker& loop) {
    auto entered = std::make_shared<std::promise<void>>();
    loop.post("hold", [entered, gate = gate_] {
      entered->set_value();
      gate->get_future().wait();
    });
    entered->get_future().wait();
  }
  ~hold() { let_go(); }
  void let_go() {
    if (gate_)
      std::exchange(gate_, nullptr)->set_value();
  }

private:
  std::shared_ptr<std::promise<void>> gate_ = std::make_shared<std::promise<void>>();
};

} // namespace

TEST_CASE("mmio session: a driver recognises the device") {
  bench b;
  CHECK(b.driver.get(reg::magic) == 0x74726976);
  CHECK(b.driver.get(reg::version) == 2);
  CHECK(b.driver.get(reg::device_id) == 4);
  CHECK(b.driver.get(reg::vendor_id) == vendor_value);
  CHECK(b.driver.offered() == (virtio::ring_features | 4));
  CHECK(b.machine.last_gsi == 5);
  CHECK(b.machine.doorbells() == 1);
}

TEST_CASE("mmio session: registers are 32 bits wide, nothing else") {
  bench b;
  CHECK(b.driver.read<std::uint16_t>(0) == 0);
  CHECK(b.driver.read<std::uint32_t>(2) == 0);
  CHECK(b.driver.read<std::uint64_t>(0x0f8) == 0);
  b.driver.write<std::uint8_t>(0x70, 1);
  CHECK(b.driver.status() == 0);
  CHECK(b.driver.read<std::uint32_t>(0xf4) == 0);
  CHECK(b.served->stats(limit).value().refused == 4);
}

TEST_CASE("mmio session: configuration space is read in any width") {
  bench b;
  CHECK(b.driver.read<std::uint8_t>(0x100) == 'c');
  CHECK(b.driver.read<std::uint16_t>(0x102) == ('n' | 'f' << 8));
  CHECK(b.driver.read<std::uint32_t>(0x101) == ('o' | 'n' << 8 | 'f' << 16 | 'i' << 24));
  CHECK(b.driver.read<std::uint64_t>(0x102) == ('n' | 'f' << 8 | 'i' << 16 | 'g' << 24));
  CHECK(b.driver.read<std::uint64_t>(0xff8) == 0);
}

TEST_CASE("mmio session: configuration space is written where the device says so") {
  bench b;
  b.driver.write<std::uint16_t>(0x100, 'x');
  CHECK(b.driver.read<std::uint8_t>(0x100) == 'c');
  CHECK(b.served->stats(limit).value().refused == 1);
  b.plan.config_writable = true;
  b.driver.write<std::uint16_t>(0x101, 'x' | 'y' << 8);
  CHECK(b.driver.read<std::uint32_t>(0x100) == ('c' | 'x' << 8 | 'y' << 16 | 'f' << 24));
  CHECK(b.failures.empty());
}

TEST_CASE("mmio session: a device that runs, serves kicks by doorbell and by register alike") {
  bench b;
  REQUIRE(b.start());
  CHECK(b.activated == 1);
  CHECK(b.plan.features == virtio::feature_version_1);
  b.offer(3);
  CHECK(b.used() == used_entry{3, 2});
  CHECK(b.ram.text(data_at + 48, 2) == "ok");
  CHECK(b.machine.interrupts == 1);
  CHECK(b.interrupt() == interrupt_used_buffer);
  CHECK(b.driver.get(reg::interrupt_status) == 0);

  b.rings[0].add(4, {{data_at, 16, true}});
  b.driver.set(reg::queue_notify, 0);
  b.settle();
  CHECK(b.used() == used_entry{4, 2});
  const auto stats = b.served->stats(limit).value();
  CHECK(stats.kicks == 2);
  CHECK(stats.register_kicks == 1);
  CHECK(stats.chains == 2);
  CHECK(stats.resets == 1);
}

TEST_CASE("mmio session: a machine without doorbells, is served by the register") {
  bench b{{}, {}, false};
  CHECK(b.machine.doorbells() == 0);
  REQUIRE(b.start());
  b.offer(1);
  CHECK(b.used() == used_entry{1, 2});
  CHECK(b.served->stats(limit).value().register_kicks == 1);
}

TEST_CASE("mmio session: many queues, each with a doorbell of its own or all with one") {
  session_options how;
  how.bells = GENERATE(doorbells::per_queue, doorbells::shared);
  bench b{with_queues({8, 4, 16}), how};
  CHECK(b.machine.doorbells() == 3);
  REQUIRE(b.start());
  for (const std::uint32_t queue : {2U, 0U, 1U}) {
    b.offer(1, queue);
    CHECK(b.used(queue) == used_entry{1, 2});
  }
  b.driver.set(reg::queue_notify, 3);
  CHECK(b.served->stats(limit).value().refused == 1);
  CHECK(b.served->stats(limit).value().kicks == 3);
}

TEST_CASE("mmio session: a queue left out, is no queue") {
  bench b{with_queues({8, 8})};
  REQUIRE(b.driver.agree());
  REQUIRE(b.driver.set_up(0, b.rings[0].state()));
  b.driver.run();
  REQUIRE(b.driver.status() == 0xf);
  b.driver.kick(1);
  b.offer(0);
  CHECK(b.used() == used_entry{0, 2});
  CHECK(b.served->state(limit).value().queues[1].size == 0);
}

TEST_CASE("mmio session: a machine that has no room for a doorbell, fails the start") {
  script plan = with_queues({8, 8});
  guest_ram ram;
  fake_machine machine;
  machine.refused_queue = 1;
  const auto loop = devices::worker::start("test").value();
  const auto served = session::start(std::make_unique<scripted_device>(plan), ram.memory(), *loop,
                                     machine, {.base = base}, {[] {}, [](failure) {}});
  REQUIRE_FALSE(served);
  CHECK(served.error().code == errc::host_io);
  CHECK_THAT(served.error().text, Catch::Contains("mmio/scripted: doorbell 1"));
  CHECK(machine.doorbells() == 0);
}

TEST_CASE("mmio session: an acknowledgement clears the bits that were written, no others") {
  bench b;
  REQUIRE(b.start());
  b.offer(0);
  CHECK(b.driver.get(reg::interrupt_status) == interrupt_used_buffer);
  b.driver.set(reg::interrupt_acknowledge, interrupt_config_changed);
  CHECK(b.driver.get(reg::interrupt_status) == interrupt_used_buffer);
  b.driver.set(reg::interrupt_acknowledge, 0xffff'fffe);
  CHECK(b.driver.get(reg::interrupt_status) == interrupt_used_buffer);
  b.driver.set(reg::interrupt_acknowledge, interrupt_used_buffer);
  CHECK(b.driver.get(reg::interrupt_status) == 0);
}

TEST_CASE("mmio session: a device that cannot start, tells the driver and is reset by it") {
  bench b;
  b.plan.refused_starts = 1;
  CHECK_FALSE(b.start());
  CHECK(b.driver.status() == (0xf | status_needs_reset));
  CHECK(b.machine.interrupts == 1);
  CHECK(b.interrupt() == interrupt_config_changed);
  REQUIRE(b.failures.size() == 1);
  CHECK(b.failures[0].code == errc::host_io);
  CHECK_THAT(b.failures[0].text, Catch::Contains("mmio/scripted: activate"));
  b.replace(); // New logic waits for the driver as well.
  CHECK(b.plan.activations == 1);
  REQUIRE(b.start());
  b.offer(0);
  CHECK(b.used() == used_entry{0, 2});
}

TEST_CASE("mmio session: a guest that lies, needs a reset, and new logic does not help") {
  bench b;
  REQUIRE(b.start());
  b.rings[0].offer(8); // No such descriptor.
  b.driver.kick(0);
  b.settle();
  CHECK(b.driver.status() == (0xf | status_needs_reset));
  CHECK(b.interrupt() == interrupt_config_changed);
  REQUIRE(b.failures.size() == 1);
  CHECK(b.failures[0].code == errc::guest_fault);
  b.replace();
  CHECK(b.plan.activations == 1);
  b.driver.set_status(0x4f); // Not a way out.
  CHECK(b.driver.status() == 0x4f);
  REQUIRE(b.start());
  b.offer(2);
  CHECK(b.used() == used_entry{2, 2});
}

TEST_CASE("mmio session: logic that throws, is replaced and the guest does not notice") {
  bench b;
  b.plan.throws = 1;
  REQUIRE(b.start());
  b.offer(5);
  REQUIRE(b.failures.size() == 1);
  CHECK(b.failures[0].code == errc::internal);
  CHECK(b.driver.status() == 0xf);
  CHECK(b.machine.interrupts == 0);
  b.offer(6); // While nobody is there.
  CHECK_FALSE(b.used());
  b.replace();
  CHECK(b.used() == used_entry{5, 2});
  CHECK(b.used() == used_entry{6, 2});
  CHECK(b.plan.attempts == std::vector<std::uint8_t>{1, 2, 1});
  CHECK(b.driver.status() == 0xf);
  b.offer(7);
  CHECK(b.used() == used_entry{7, 2});
}

TEST_CASE("mmio session: a request that kills the logic twice, is answered with an error") {
  bench b;
  b.plan.throws = 100;
  REQUIRE(b.start());
  b.offer(5);
  for (int i = 0; i < 2; ++i) {
    CHECK_FALSE(b.used());
    b.replace();
  }
  CHECK(b.used() == used_entry{5, 0});
  CHECK(b.plan.attempts == std::vector<std::uint8_t>{1, 2, 3});
}

TEST_CASE("mmio session: a replacement that fails to start, gets one more chance and no other") {
  bench b;
  b.plan.throws = 1;
  REQUIRE(b.start());
  b.offer(5);
  b.plan.refused_starts = GENERATE(1, 2);
  const auto starts = b.plan.refused_starts == 1;
  b.replace();
  CHECK(b.failures.size() == 2);
  CHECK(b.driver.status() == 0xf);
  b.replace();
  CHECK(b.used().has_value() == starts);
  CHECK(b.driver.status() == (starts ? 0xf : 0x4f));
  b.replace();
  CHECK(b.plan.activations == (starts ? 4 : 3));
}

TEST_CASE("mmio session: chains in flight outlive the logic") {
  bench b;
  b.plan.keeps = true;
  REQUIRE(b.start());
  b.offer(1);
  b.offer(2);
  CHECK_FALSE(b.used());
  CHECK(b.served->state(limit).value().queues[0].taken.size() == 2);
  b.plan.keeps = false;
  b.replace();
  CHECK(b.used() == used_entry{1, 2});
  CHECK(b.used() == used_entry{2, 2});
  CHECK(b.served->state(limit).value().queues[0].taken.empty());
}

TEST_CASE("mmio session: a reset with chains in flight, has stopped the device when it returns") {
  bench b;
  b.plan.keeps = true;
  REQUIRE(b.start());
  b.offer(1);
  b.driver.set_status(0);
  CHECK(b.plan.resets == 1);
  CHECK(b.driver.status() == 0);
  CHECK(b.driver.get(reg::interrupt_status) == 0);
  b.driver.set(reg::queue_select, 0);
  CHECK(b.driver.get(reg::queue_ready) == 0);
  b.plan.keeps = false;
  REQUIRE(b.start());
  CHECK_FALSE(b.used());
  b.offer(1);
  CHECK(b.used() == used_entry{1, 2});
  CHECK(b.plan.attempts == std::vector<std::uint8_t>{1, 1});
}

TEST_CASE("mmio session: a driver that gives up, has its device stopped") {
  bench b;
  REQUIRE(b.start());
  b.driver.set_status(0x8f);
  CHECK(b.plan.resets == 1);
  b.offer(0);
  CHECK_FALSE(b.used());
  REQUIRE(b.start());
}

TEST_CASE("mmio session: a worker that does not come, never keeps a vCPU") {
  session_options how;
  how.patience = milliseconds{20};
  bench b{{}, how};
  REQUIRE(b.start());
  {
    hold busy{*b.loop};
    b.driver.set_status(0);
    CHECK(b.driver.status() == 0x4f);
    b.driver.set_status(0x1);
    CHECK(b.driver.status() == 0x4f);
    CHECK(b.driver.read<std::uint8_t>(0x100) == 'c');
    b.driver.kick(0);
  }
  b.settle();
  CHECK(b.served->stats(limit).value().overdue == 1);
  CHECK(b.plan.resets == 1);
  REQUIRE(b.start());
  b.offer(0);
  CHECK(b.used() == used_entry{0, 2});
}

TEST_CASE("mmio session: a start that comes too late, is not carried out") {
  session_options how;
  how.patience = milliseconds{20};
  bench b{{}, how};
  REQUIRE(b.driver.agree());
  REQUIRE(b.driver.set_up(0, b.rings[0].state()));
  {
    hold busy{*b.loop};
    b.driver.run();
    CHECK(b.driver.status() == 0x4f);
  }
  b.settle();
  CHECK(b.plan.activations == 0);
  CHECK(b.start());
}

TEST_CASE("mmio session: configuration that changes, bumps its generation and interrupts") {
  script plan;
  std::function<void(const std::function<void()>&)> change;
  plan.started = [&](virtio::activation& with) { change = with.change_config; };
  bench b{plan};
  REQUIRE(b.start());
  const auto before = b.driver.get(reg::config_generation);
  change([&] { b.plan.config = "CONFIG"; });
  CHECK(b.driver.get(reg::config_generation) == before + 1);
  CHECK(b.driver.read<std::uint16_t>(0x100) == ('C' | 'O' << 8));
  CHECK(b.machine.interrupts == 1);
  CHECK(b.interrupt() == interrupt_config_changed);
}

TEST_CASE("mmio session: readers of changing configuration, never see a mixture") {
  script plan;
  std::function<void(const std::function<void()>&)> change;
  plan.started = [&](virtio::activation& with) { change = with.change_config; };
  plan.config = std::string(16, 'a');
  bench b{plan};
  REQUIRE(b.start());
  std::atomic<bool> stop = false;
  std::atomic<int> torn = 0;
  std::atomic<int> read = 0;
  std::vector<std::thread> vcpus;
  for (int i = 0; i < 2; ++i)
    vcpus.emplace_back([&] {
      while (!stop) {
        // As Linux does it: the generation around as many reads as it takes.
        const auto before = b.driver.get(reg::config_generation);
        const auto low = b.driver.read<std::uint64_t>(0x100);
        const auto high = b.driver.read<std::uint64_t>(0x108);
        const auto same = b.driver.get(reg::config_generation) == before;
        torn += low % 0x100 * 0x0101'0101'0101'0101 != low ? 1 : 0;
        torn += same && low != high ? 1 : 0;
        read += same ? 1 : 0;
      }
    });
  for (int i = 0; i < 3000 || read < 100; ++i)
    change([&] { b.plan.config.assign(16, static_cast<char>('a' + i % 26)); });
  stop = true;
  for (auto& it : vcpus)
    it.join();
  CHECK(torn == 0);
}

TEST_CASE("mmio session: paused, nothing is served until it goes on, not even by new logic") {
  bench b;
  REQUIRE(b.start());
  must(b.served->pause(limit));
  CHECK(b.plan.pauses == 1);
  b.offer(0);
  CHECK_FALSE(b.used());
  if (GENERATE(false, true)) {
    b.replace();
    CHECK(b.plan.activations == 1);
  }
  must(b.served->remap(b.ram.memory(), limit));
  CHECK_FALSE(b.used());
  must(b.served->resume(limit));
  CHECK(b.used() == used_entry{0, 2});
}

TEST_CASE("mmio session: memory mapped anew while the device runs, is used at once") {
  bench b;
  REQUIRE(b.start());
  b.offer(0);
  REQUIRE(b.used());
  std::vector<memory::region> regions;
  regions.push_back({0, mib(1), unique_fd{::dup(b.ram.fd())}, 0});
  must(b.served->remap(memory::guest_memory::map(std::move(regions)).value(), limit));
  b.offer(1);
  CHECK(b.used() == used_entry{1, 2});
  guest_ram elsewhere{mib(1), mib(16)};
  must(b.served->remap(elsewhere.memory(), limit)); // The rings are not in it any more.
  CHECK(b.driver.status() == 0x4f);
}

TEST_CASE("mmio session: the state is told, features and queues") {
  bench b;
  CHECK(b.served->state(limit).value().queues == std::vector<virtio::queue_state>(1));
  REQUIRE(b.start());
  b.offer(0);
  const auto it = b.served->state(limit).value();
  CHECK(it.type == virtio::device_type::rng);
  CHECK(it.features == virtio::feature_version_1);
  CHECK(it.queues[0].descriptors == ring_at);
  CHECK(it.queues[0].next_available == 1);
  CHECK(it.queues[0].next_used == 1);
}

TEST_CASE("mmio session: stopped, it serves nobody and holds no descriptor any more") {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {});
  };
  const auto before = descriptors();
  {
    bench b;
    REQUIRE(b.start());
    must(b.served->stop(limit));
    CHECK(b.machine.doorbells() == 0);
    CHECK(b.plan.resets == 1);
    CHECK(b.driver.status() == 0x4f);
    CHECK_FALSE(b.start());
    b.replace();
    CHECK(b.plan.activations == 1);
  }
  CHECK(descriptors() == before);
}

TEST_CASE("mmio session: processors that write anything while logic dies, leave it usable") {
  bench b{with_queues({8, 8})};
  std::atomic<bool> stop = false;
  std::vector<std::thread> vcpus;
  for (std::uint32_t seed = 1; seed < 3; ++seed)
    vcpus.emplace_back([&b, &stop, random = seed]() mutable {
      while (!stop) {
        random = random * 1664525 + 1013904223;
        b.driver.write(random >> 24 & 0xfc, random >> 8 & 0xf);
        (void)b.driver.read<std::uint32_t>(random >> 16 & 0x1fc);
      }
    });
  for (int i = 0; i < 200; ++i) {
    b.replace();
    (void)b.start();
    b.plan.throws = i % 3;
  }
  stop = true;
  for (auto& it : vcpus)
    it.join();
  b.settle();
  b.plan.throws = 0;
  REQUIRE(b.start());
  b.offer(1);
  CHECK(b.used() == used_entry{1, 2});
}
