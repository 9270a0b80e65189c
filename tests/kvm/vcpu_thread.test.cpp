#include "actors/vcpu/run/kick_signal.hpp"
#include "tests/kvm/machine.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <csignal>
#include <dirent.h>
#include <fstream>
#include <future>
#include <stdexcept>
#include <thread>

using namespace troupe;
using namespace troupe::testing;
using vcpu::after_write;
using vcpu::command;
using vcpu::end_reason;
using vcpu::phase;

namespace {

auto endless_bus() {
  return std::make_shared<test_bus>(after_write::go_on);
}

// A device for the guest `busy`: checks that its numbers come without gap or repetition.
class sequence_bus final : public vcpu::io_handler {
public:
  void port_read(std::uint16_t, std::span<std::byte>) override {}
  after_write port_write(std::uint16_t, std::span<const std::byte>) override {
    broken = true;
    return after_write::stop;
  }
  void memory_read(gpa, std::span<std::byte> into) override {
    ++reads;
    const auto last = seen.load();
    std::memcpy(into.data(), &last, sizeof last);
  }
  after_write memory_write(gpa, std::span<const std::byte> from) override {
    std::uint32_t value = 0;
    std::memcpy(&value, from.data(), sizeof value);
    broken = broken || value != seen + 1;
    seen = value;
    return after_write::go_on;
  }

  std::atomic<std::uint32_t> seen = 0;
  std::atomic<std::uint32_t> reads = 0;
  std::atomic<bool> broken = false;
};

// Blocks a write until it is let go.
class blocking_bus final : public vcpu::io_handler {
public:
  void port_read(std::uint16_t, std::span<std::byte>) override {}
  after_write port_write(std::uint16_t, std::span<const std::byte>) override {
    if (!entered.exchange(true))
      in_handler.set_value();
    release.wait();
    return after_write::go_on;
  }
  void memory_read(gpa, std::span<std::byte>) override {}
  after_write memory_write(gpa, std::span<const std::byte>) override { return after_write::go_on; }

  std::atomic<bool> entered = false;
  std::promise<void> in_handler;
  std::promise<void> let_go;
  std::shared_future<void> release = let_go.get_future().share();
};

class heedless_bus final : public vcpu::io_handler {
public:
  void port_read(std::uint16_t, std::span<std::byte>) override {}
  after_write port_write(std::uint16_t, std::span<const std::byte>) override {
    return after_write::go_on;
  }
  void memory_read(gpa, std::span<std::byte>) override {}
  after_write memory_write(gpa, std::span<const std::byte>) override { return after_write::go_on; }
};

class throwing_bus final : public vcpu::io_handler {
public:
  void port_read(std::uint16_t, std::span<std::byte>) override {}
  after_write port_write(std::uint16_t, std::span<const std::byte>) override {
    throw std::runtime_error{"out of order"};
  }
  void memory_read(gpa, std::span<std::byte>) override {}
  after_write memory_write(gpa, std::span<const std::byte>) override { return after_write::go_on; }
};

std::size_t entries_of(const char* folder) {
  std::size_t count = 0;
  DIR* open = ::opendir(folder);
  while (::readdir(open) != nullptr)
    ++count;
  ::closedir(open);
  return count;
}

std::size_t mappings() {
  std::ifstream maps{"/proc/self/maps"};
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    ++count;
  return count;
}

milliseconds since(time_point start) {
  return std::chrono::duration_cast<milliseconds>(monotonic_clock::now() - start);
}

} // namespace

TEST_CASE("vcpu: a new thread, waits for `run` with its registers in reach") {
  machine m{"spin", cpu_mode::real, endless_bus()};
  REQUIRE(m.cpu().await(command::pause, patience));
  CHECK(m.cpu().where() == phase::paused);
  CHECK(m.cpu().processor().regs()->rip == code);
  CHECK(m.cpu().count().exits == 0);
  CHECK_FALSE(m.cpu().why());
}

TEST_CASE("vcpu: a guest that never leaves by itself, pauses, goes on and ends in bounded time") {
  machine m{"spin", cpu_mode::real, endless_bus()};
  m.run_all();
  REQUIRE(m.cpu().await(command::run, patience));
  while (m.word(data) == 0)
    std::this_thread::yield();
  const auto start = monotonic_clock::now();
  REQUIRE(m.cpu().pause(milliseconds{1000}));
  const auto counted = m.word(data);
  std::this_thread::sleep_for(milliseconds{20});
  CHECK(m.word(data) == counted);
  CHECK(m.cpu().where() == phase::paused);
  REQUIRE(m.cpu().run());
  while (m.word(data) == counted)
    std::this_thread::yield();
  REQUIRE(m.cpu().end(milliseconds{1000}));
  CHECK(since(start) < patience);
  CHECK(m.cpu().why()->reason == end_reason::asked);
  CHECK(m.cpu().run().error().code == errc::failed_precondition);
}

TEST_CASE("vcpu: a halted guest, pauses and ends though nothing wakes it") {
  machine m{"halt", cpu_mode::real, endless_bus(), irqchip::in_kernel};
  m.run_all();
  for (int i = 0; i < 20; ++i) {
    REQUIRE(m.cpu().pause(milliseconds{1000}));
    REQUIRE(m.cpu().run());
  }
  CHECK(m.cpu().end(milliseconds{1000}));
}

TEST_CASE("vcpu: a processor that nobody has started yet, pauses and ends") {
  machine m{"halt", cpu_mode::real, endless_bus(), irqchip::in_kernel, 2};
  REQUIRE(m.cpu(1).run());
  REQUIRE(m.cpu(1).pause(milliseconds{1000}));
  REQUIRE(m.cpu(1).run());
  CHECK(m.cpu(1).end(milliseconds{1000}));
}

TEST_CASE("vcpu: halting without an interrupt controller, ends the guest by name") {
  machine m{"halt", cpu_mode::real, endless_bus()};
  m.run_all();
  CHECK(m.wait_parked().reason == end_reason::hlt_without_irqchip);
  CHECK(m.cpu().count().hlt == 1);
}

TEST_CASE("vcpu: a triple fault, is named with registers") {
  machine m{"triple", cpu_mode::flat32, endless_bus()};
  m.run_all();
  const auto end = m.wait_parked();
  CAPTURE(end.text);
  CHECK(end.reason == end_reason::shutdown);
  CHECK_THAT(end.text, Catch::StartsWith("triple fault: rip=") && Catch::Contains("code="));
  CHECK(m.cpu().pause(milliseconds{1000})); // Parked is as good as paused.
  CHECK(m.cpu().run().error().code == errc::failed_precondition);
  CHECK(m.cpu().end(milliseconds{1000}));
  CHECK(m.cpu().why()->reason == end_reason::shutdown);
}

TEST_CASE("vcpu: an instruction that KVM refuses, is an internal error with its bytes") {
  machine m{"refused", cpu_mode::flat32, endless_bus()};
  m.run_all();
  const auto end = m.wait_parked();
  CAPTURE(end.text);
  CHECK(end.reason == end_reason::internal_error);
  CHECK_THAT(end.text, Catch::Contains("code=f3 0f b8 05 00 00 00 d0"));
  CHECK_THAT(end.text, Catch::Contains("rip=1001 "));
}

TEST_CASE("vcpu: an exception of a handler, ends its processor and no other") {
  machine m{"pio", cpu_mode::real, std::make_shared<throwing_bus>()};
  m.run_all();
  const auto end = m.wait_parked();
  CHECK(end.reason == end_reason::handler_failed);
  CHECK(end.text == "write to port 0x10: out of order");
}

TEST_CASE("vcpu: pauses amid device accesses, lose and repeat none and leave none half done") {
  // In busy.S; the counting is before, and what only ran through padding is the same.
  constexpr std::uint64_t write_at = code + 0x10;
  constexpr std::uint64_t read_at = write_at + 6;
  const auto bus = std::make_shared<sequence_bus>();
  machine m{"busy", cpu_mode::flat32, bus};
  m.run_all();
  for (int i = 0; i < 2000; ++i) {
    REQUIRE(m.cpu().pause(patience));
    const auto regs = must(m.cpu().processor().regs());
    const bool before_write = regs.rip > code + 2 && regs.rip <= write_at;
    REQUIRE(bus->seen == regs.rbx - (before_write ? 1 : 0));
    // KVM keeps the instruction pointer at a read that it has not finished.
    REQUIRE(bus->reads == bus->seen - (regs.rip == read_at ? 1 : 0));
    REQUIRE(m.cpu().run());
    if (i % 8 == 0) // Else most pauses come before the guest does.
      REQUIRE(m.cpu().await(command::run, patience));
  }
  CHECK_FALSE(bus->broken);
  CHECK(bus->seen > 100);
  CHECK(m.cpu().count().pauses > 100);
}

TEST_CASE("vcpu: a pause that meets a blocked handler, misses its deadline and names the place") {
  const auto bus = std::make_shared<blocking_bus>();
  machine m{"pio", cpu_mode::real, bus};
  m.run_all();
  bus->in_handler.get_future().wait();
  const auto late = m.cpu().pause(milliseconds{50});
  REQUIRE_FALSE(late);
  CHECK(late.error().text == "vcpu0: pause: not within 50 ms: serving port 0x10");
  bus->let_go.set_value();
  CHECK(m.cpu().await(command::pause, patience));
}

TEST_CASE("vcpu: a storm of kicks, loses no command in 20000 rounds") {
  machine m{"spin", cpu_mode::real, endless_bus()};
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(m.cpu().run());
    REQUIRE(m.cpu().pause(patience));
  }
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(m.cpu().run());
    REQUIRE(m.cpu().await(command::run, patience));
    REQUIRE(m.cpu().pause(patience));
  }
  const auto counted = m.word(data);
  REQUIRE(m.cpu().run());
  while (m.word(data) == counted)
    std::this_thread::yield();
}

TEST_CASE("vcpu: four busy processors, pause together within one deadline") {
  machine m{"pio", cpu_mode::real, std::make_shared<heedless_bus>(), irqchip::none, 4};
  for (int i = 0; i < 100; ++i) {
    m.run_all();
    for (std::size_t k = 0; k < m.cpus(); ++k)
      REQUIRE(m.cpu(k).await(command::run, patience));
    for (std::size_t k = 0; k < m.cpus(); ++k)
      REQUIRE(m.cpu(k).ask(command::pause));
    const auto deadline = monotonic_clock::now() + patience;
    for (std::size_t k = 0; k < m.cpus(); ++k)
      REQUIRE(m.cpu(k).await(command::pause, std::chrono::duration_cast<milliseconds>(
                                                 deadline - monotonic_clock::now())));
    std::uint64_t exits = 0;
    for (std::size_t k = 0; k < m.cpus(); ++k)
      exits += m.cpu(k).count().exits;
    std::this_thread::yield();
    for (std::size_t k = 0; k < m.cpus(); ++k)
      exits -= m.cpu(k).count().exits;
    REQUIRE(exits == 0); // All four stand still.
  }
  for (std::size_t k = 0; k < m.cpus(); ++k)
    CHECK(m.cpu(k).count().pio_out > 0);
}

TEST_CASE("vcpu: a command that another one overtakes, is cancelled and not waited for") {
  const auto bus = std::make_shared<blocking_bus>();
  machine m{"pio", cpu_mode::real, bus};
  m.run_all();
  bus->in_handler.get_future().wait();
  REQUIRE(m.cpu().ask(command::pause));
  REQUIRE(m.cpu().ask(command::end));
  CHECK(m.cpu().await(command::pause, patience).error().text == "vcpu0: pause: end came after it");
  bus->let_go.set_value();
  CHECK(m.cpu().await(command::end, patience));
}

TEST_CASE("vcpu: signals from elsewhere, disturb neither guest nor commands") {
  machine m{"spin", cpu_mode::real, endless_bus()};
  std::atomic<bool> stop = false;
  m.run_all();
  std::thread noise{[&] {
    while (!stop)
      ::kill(::getpid(), vcpu::kick_signal());
  }};
  for (int i = 0; i < 500; ++i) {
    REQUIRE(m.cpu().pause(patience));
    REQUIRE(m.cpu().run());
  }
  stop = true;
  noise.join();
  CHECK(m.cpu().end(patience));
}

TEST_CASE("vcpu: the start hook, runs first, on the named thread, with all but the kick blocked") {
  const auto vm = must(kvm::vm::create(host()));
  std::promise<std::string> name;
  std::atomic<bool> only_kick = true;
  vcpu::thread_options options;
  options.processor = must(vm->create_vcpu(3));
  options.io = endless_bus();
  options.on_thread_start = [&]() -> outcome<void> {
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    for (int i = 1; i < SIGRTMAX; ++i)
      if (i != SIGKILL && i != SIGSTOP && (i < 32 || i >= SIGRTMIN))
        only_kick = only_kick && (::sigismember(&blocked, i) == 0) == (i == vcpu::kick_signal());
    char text[16] = {};
    ::pthread_getname_np(::pthread_self(), text, sizeof text);
    name.set_value(text);
    return fail(errc::permission_denied, "seccomp: not today");
  };
  const auto thread = must(vcpu::vcpu_thread::start(std::move(options)));
  CHECK(name.get_future().get() == "vcpu3");
  CHECK(only_kick);
  REQUIRE(thread->await(command::pause, patience));
  CHECK(thread->where() == phase::parked);
  CHECK(thread->why()->reason == end_reason::start_failed);
  CHECK(thread->why()->text == "permission_denied: seccomp: not today");
}

TEST_CASE("vcpu: phases, are told in order and once each") {
  const auto ram = [] {
    memory::ram_plan plan;
    plan.size = mib(2);
    return must(memory::allocate(plan)).memory;
  }();
  const auto vm = must(kvm::vm::create(host()));
  must(vm->add_memory(ram));
  must(vm->create_irqchip());
  must(vm->create_vcpu(0));
  std::vector<phase> heard;
  std::mutex mutex;
  vcpu::thread_options options;
  options.processor = must(vm->create_vcpu(1)); // Asleep until somebody starts it.
  options.io = endless_bus();
  options.on_phase = [&](phase where) {
    const std::lock_guard lock{mutex};
    heard.push_back(where);
  };
  auto thread = must(vcpu::vcpu_thread::start(std::move(options)));
  REQUIRE(thread->await(command::pause, patience));
  REQUIRE(thread->run());
  REQUIRE(thread->await(command::run, patience));
  REQUIRE(thread->pause(patience));
  REQUIRE(thread->end(patience));
  thread.reset();
  CHECK(heard == std::vector{phase::paused, phase::running, phase::paused, phase::ended});
}

TEST_CASE("vcpu: fifty machines one after the other, leave no descriptor, thread or mapping") {
  const auto live = [] {
    const auto bus = endless_bus();
    machine m{"irq", cpu_mode::real, bus, irqchip::in_kernel, 2};
    const auto event = make_event();
    const auto line = must(m.vm().bind_irq(5, event));
    const auto bell =
        must(m.vm().bind_doorbell({kvm::doorbell::space::memory, device, 4, 0}, event));
    m.run_all();
    REQUIRE(bus->wait_done());
    for (std::size_t i = 0; i < m.cpus(); ++i)
      REQUIRE(m.cpu(i).end(patience));
  };
  live();
  const auto descriptors = entries_of("/proc/self/fd");
  const auto threads = entries_of("/proc/self/task");
  const auto maps = mappings();
  for (int i = 0; i < 50; ++i)
    live();
  CHECK(entries_of("/proc/self/fd") == descriptors);
  CHECK(entries_of("/proc/self/task") == threads);
  CHECK(mappings() <= maps + 2); // The allocator may take another arena.
}
