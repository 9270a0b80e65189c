#include "tools/bench/bare_kvm.hpp"
#include "tools/bench/turns.hpp"

#include "actors/devices/worker.hpp"
#include "actors/supervision/thread.hpp"
#include "actors/vcpu/machine/port.hpp"
#include "actors/vcpu/memory/ram.hpp"
#include "actors/vcpu/run/vcpu_thread.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <poll.h>
#include <semaphore>
#include <thread>

// Guests of a few instructions write to a port or to an address in a loop. A figure is the time
// from one exit to the next, read where the write is served: once through the guest, KVM and what
// serves. For doorbells it is the time from the guest's leave to ring until the worker is told.

namespace troupe::bench {
namespace {

constexpr const char* name = "exit-latency";
constexpr milliseconds patience{30'000};
/// Exits that are measured in one turn, after those that warm up.
constexpr std::size_t exits = 500;
constexpr std::size_t warm_up_exits = 50;

constexpr std::uint16_t go_port = 0x10;
constexpr std::uint16_t wait_port = 0x12;

/// 1: out 0x10, al; jmp 1b
constexpr std::array<std::uint8_t, 4> port_code{0xe6, 0x10, 0xeb, 0xfc};
/// 1: mov [0xd0000100], eax; jmp 1b
constexpr std::array<std::uint8_t, 7> memory_code{0xa3, 0x00, 0x01, 0x00, 0xd0, 0xeb, 0xf9};
/// 1: out 0x10, al; mov dword [0xd0000000], 0; out 0x12, al; jmp 1b
constexpr std::array<std::uint8_t, 16> bell_code{0xe6, 0x10, 0xc7, 0x05, 0x00, 0x00, 0x00, 0xd0,
                                                 0x00, 0x00, 0x00, 0x00, 0xe6, 0x12, 0xeb, 0xf0};

/// The times of one turn in microseconds, and whether it is over.
class stopwatch {
public:
  stopwatch() { times_.reserve(warm_up_exits + exits); }
  void begin() noexcept { begun_ = monotonic_clock::now(); }
  /// From begin() or the last mark until now.
  void mark() {
    const auto now = monotonic_clock::now();
    if (!done())
      times_.push_back(std::chrono::duration<double, std::micro>(now - begun_).count());
    begun_ = now;
  }
  [[nodiscard]] bool done() const noexcept { return times_.size() == warm_up_exits + exits; }
  [[nodiscard]] std::span<const double> counted() const {
    return std::span{times_}.subspan(warm_up_exits);
  }

private:
  time_point begun_;
  std::vector<double> times_;
};

turn result_of(const stopwatch& watch) {
  if (!watch.done())
    return fail(errc::deadline_exceeded, "the guest did not write often enough");
  return std::vector<double>(watch.counted().begin(), watch.counted().end());
}

// -- the floor: KVM_RUN in a loop

outcome<void> next_write(const bare_kvm& machine) {
  const auto exit = TRY(machine.run());
  if (exit != KVM_EXIT_IO && exit != KVM_EXIT_MMIO)
    return fail(errc::peer_fault, "the guest ended with exit {}", exit);
  return {};
}

turn run_bare(std::span<const std::uint8_t> code) {
  auto machine = TRY(bare_kvm::make({}));
  TRY(machine.aim(code));
  stopwatch watch;
  TRY(next_write(machine));
  watch.begin();
  while (!watch.done()) {
    TRY(next_write(machine));
    watch.mark();
  }
  return result_of(watch);
}

/// A thread that does nothing but wait for one doorbell.
class bare_waiter {
public:
  bare_waiter(int bell, stopwatch& watch)
      : bell_(bell), watch_(watch), thread_(start_thread("bell", [this] { body(); })) {}
  ~bare_waiter() {
    over_ = true;
    (void)::eventfd_write(bell_, 1);
    thread_.join();
  }
  [[nodiscard]] bool await() { return told_.try_acquire_for(patience); }

private:
  void body() {
    pollfd ready{bell_, POLLIN, 0};
    for (eventfd_t count = 0; !over_;) {
      if (::eventfd_read(bell_, &count) != 0) {
        ::poll(&ready, 1, -1);
        continue;
      }
      watch_.mark();
      told_.release();
    }
  }

  int bell_;
  stopwatch& watch_;
  std::atomic<bool> over_ = false;
  std::counting_semaphore<> told_{0};
  std::thread thread_;
};

turn ring_bare() {
  auto machine = TRY(bare_kvm::make({mib(2), 1, 0}));
  TRY(machine.aim(bell_code));
  stopwatch watch;
  bare_waiter waiter{machine.doorbell(0), watch};
  while (!watch.done()) {
    TRY(next_write(machine));
    if (machine.port() == go_port)
      watch.begin();
    else if (!waiter.await())
      return fail(errc::deadline_exceeded, "the doorbell is silent");
  }
  return result_of(watch);
}

// -- ours: a processor's thread, the bus, a device's worker

/// A register that measures its own writes; over at the last one.
class measured_register final : public bus::target {
public:
  void read(std::uint64_t, std::span<std::byte>) noexcept override {}
  void write(std::uint64_t offset, std::span<const std::byte>) noexcept override {
    on_write(offset);
  }

  std::function<void(std::uint64_t offset)> on_write;
};

/// The least of ours that runs a guest. Parts go in the reverse of their order.
struct small_machine {
  std::shared_ptr<kvm::vm> vm;
  bus::address_space pio{bus::space::pio};
  bus::address_space mmio{bus::space::mmio};
  std::binary_semaphore over{0};
  vcpu::end_record end{[this](const vcpu::ending&) { over.release(); }};
  std::shared_ptr<measured_register> registers = std::make_shared<measured_register>();
  std::unique_ptr<vcpu::vcpu_thread> thread;

  outcome<void> make(std::span<const std::uint8_t> code);
  outcome<void> run_to_end();
};

kvm_segment flat(const kvm_segment& like, std::uint8_t type, std::uint16_t selector) {
  auto out = like;
  out.base = 0;
  out.limit = 0xffffffff;
  out.selector = selector;
  out.type = type;
  out.present = out.db = out.s = out.g = 1;
  return out;
}

outcome<void> aim(kvm::vcpu& processor) {
  auto special = TRY(processor.sregs());
  special.cr0 |= 1; // protected mode
  special.cs = flat(special.cs, 11, 8);
  special.ds = special.es = special.fs = special.gs = special.ss = flat(special.ds, 3, 16);
  special.idt = {};
  TRY(processor.set_sregs(special));
  kvm_regs registers{};
  registers.rip = bare_kvm::code_at;
  registers.rflags = 2; // the bit that is always set
  return processor.set_regs(registers);
}

outcome<void> small_machine::make(std::span<const std::uint8_t> code) {
  memory::ram_plan plan;
  plan.size = mib(2);
  const auto ram = TRY(memory::allocate(plan)).memory;
  TRY(ram->write(bare_kvm::code_at, std::as_bytes(code)));
  vm = TRY(kvm::vm::create(TRY(kvm::system::open())));
  TRY(vm->add_memory(ram));
  TRY(vm->set_tss_address(kvm::default_tss_address));
  TRY(pio.add(go_port, 4, registers));
  TRY(mmio.add(bare_kvm::device_at, 0x1000, registers));
  vcpu::thread_options options;
  options.processor = TRY(vm->create_vcpu(0));
  options.io = std::make_shared<vcpu::bus_handler>(pio, mmio, end);
  options.ram = ram;
  TRY(aim(*options.processor));
  thread = TRY(vcpu::vcpu_thread::start(std::move(options)));
  return {};
}

/// It parks by itself once `end` is recorded.
outcome<void> small_machine::run_to_end() {
  TRY(thread->run());
  (void)over.try_acquire_for(patience); // else the turn is found incomplete
  return thread->end(patience);
}

turn run_ours(std::span<const std::uint8_t> code) {
  stopwatch watch;
  small_machine machine;
  TRY(machine.make(code));
  watch.begin();
  machine.registers->on_write = [&](std::uint64_t) {
    watch.mark();
    if (watch.done())
      machine.end.record({});
  };
  TRY(machine.run_to_end());
  return result_of(watch);
}

/// The worker's side of a doorbell.
outcome<void> listen(devices::worker& loop, const kvm::shared_event& bell, stopwatch& watch,
                     std::counting_semaphore<>& told) {
  const auto watched = std::make_shared<outcome<void>>();
  TRY(loop.run(
      "listen",
      [&loop, &watch, &told, bell, watched] {
        const auto id = loop.watch("bell", bell->get(), EPOLLIN, [&, bell](std::uint32_t) {
          eventfd_t count = 0;
          if (::eventfd_read(bell->get(), &count) != 0)
            return;
          watch.mark();
          told.release();
        });
        if (!id)
          *watched = tl::unexpected(id.error());
      },
      patience));
  return *watched;
}

turn ring_ours() {
  stopwatch watch;
  std::counting_semaphore<> told{0};
  const auto loop = TRY(devices::worker::start("devices"));
  small_machine machine;
  TRY(machine.make(bell_code));
  unique_fd fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!fd)
    return fail_errno("eventfd", errno);
  const auto event = std::make_shared<const unique_fd>(std::move(fd));
  const auto bell = TRY(vcpu::make_doorbell(*machine.vm, bare_kvm::device_at, 0, event));
  TRY(listen(*loop, event, watch, told));
  machine.registers->on_write = [&](std::uint64_t offset) {
    if (offset == 0)
      watch.begin();
    else if (!told.try_acquire_for(patience) || watch.done())
      machine.end.record({});
  };
  TRY(machine.run_to_end());
  return result_of(watch);
}

row beside_floor(const char* of) {
  return {name, fmt::format("floor {}", of), "us", {}, "floor", {}};
}

} // namespace

outcome<std::vector<row>> exit_latency(const order& what) {
  return take_turns({{beside_floor("port-write"), [] { return run_ours(port_code); },
                      [] { return run_bare(port_code); }},
                     {beside_floor("memory-write"), [] { return run_ours(memory_code); },
                      [] { return run_bare(memory_code); }},
                     {beside_floor("doorbell"), ring_ours, ring_bare}},
                    what);
}

} // namespace troupe::bench
