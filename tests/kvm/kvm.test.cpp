#include "actors/vcpu/run/last_words.hpp"
#include "tests/kvm/machine.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <thread>

using namespace troupe;
using namespace troupe::testing;
using vcpu::after_write;
using vcpu::end_reason;

namespace {

auto stopping_bus() {
  return std::make_shared<test_bus>(after_write::stop);
}
auto endless_bus() {
  return std::make_shared<test_bus>(after_write::go_on);
}

std::shared_ptr<kvm::vm> empty_vm() {
  return must(kvm::vm::create(host()));
}

std::shared_ptr<const memory::guest_memory> small_ram() {
  memory::ram_plan plan;
  plan.size = mib(2);
  return must(memory::allocate(plan)).memory;
}

} // namespace

TEST_CASE("kvm: the host's leaves and MSRs, are listed") {
  const auto leaves = host().supported_cpuid();
  REQUIRE(leaves);
  CHECK(std::ranges::any_of(*leaves, [](const auto& it) { return it.function == 1; }));
  const auto msrs = host().msr_indices();
  REQUIRE(msrs);
  constexpr std::uint32_t tsc = 0x10;
  CHECK(std::ranges::count(*msrs, tsc) == 1);
  CHECK(kvm::system::open("/dev/no-kvm").error().code == errc::not_found);
}

TEST_CASE("kvm vm: steps in the wrong order, are refused with words") {
  const auto vm = empty_vm();
  CHECK(vm->create_irqchip().error().code == errc::failed_precondition);
  REQUIRE(vm->add_memory(small_ram()));
  const auto overlapping = vm->add_memory(small_ram());
  CHECK(overlapping.error().code == errc::invalid_argument);
  REQUIRE(vm->create_irqchip());
  CHECK(vm->create_irqchip().error().code == errc::failed_precondition);
  const auto slot = memory::host_slots(*small_ram()).value().front();
  CHECK(vm->add_slot({mib(4), slot.size, slot.host}, {}).error().text ==
        "memory slot 0x400000: slots are set before the interrupt controller is made");
  REQUIRE(vm->create_vcpu(0));
  CHECK(vm->create_vcpu(0).error().code == errc::already_exists);
  CHECK(vm->find_vcpu(0));
  CHECK_FALSE(vm->find_vcpu(1));
  const auto other = empty_vm();
  REQUIRE(other->add_memory(small_ram()));
  REQUIRE(other->create_vcpu(0));
  CHECK(other->create_irqchip().error().code == errc::failed_precondition);
}

TEST_CASE("kvm vm: a late slot, can be set, deleted and set again, and lets its memory go") {
  const auto vm = empty_vm();
  REQUIRE(vm->add_memory(small_ram()));
  REQUIRE(vm->create_irqchip());
  auto window = small_ram();
  const std::weak_ptr<const memory::guest_memory> alive = window;
  auto slot = must(memory::host_slots(*window)).front();
  slot.base = gib(1);
  const auto id = vm->add_slot_late(slot, window);
  REQUIRE(id);
  window.reset();
  CHECK_FALSE(alive.expired());
  REQUIRE(vm->remove_slot(*id));
  CHECK(alive.expired());
  CHECK(vm->remove_slot(*id).error().code == errc::not_found);
  window = small_ram();
  slot.host = must(memory::host_slots(*window)).front().host;
  CHECK(vm->add_slot_late(slot, window) == *id);
}

TEST_CASE("kvm vm: any handle, keeps the whole machine and its memory") {
  auto ram = small_ram();
  const std::weak_ptr<const memory::guest_memory> alive = ram;
  auto vm = empty_vm();
  REQUIRE(vm->add_memory(std::move(ram)));
  auto processor = must(vm->create_vcpu(0));
  vm.reset();
  CHECK_FALSE(alive.expired());
  CHECK(processor->regs());
  processor.reset();
  CHECK(alive.expired());
}

TEST_CASE("kvm vcpu: registers of every kind, come back as they were set") {
  const auto vm = empty_vm();
  REQUIRE(vm->add_memory(small_ram()));
  REQUIRE(vm->create_irqchip());
  const auto cpu = must(vm->create_vcpu(0));
  REQUIRE(cpu->set_cpuid(must(host().supported_cpuid())));
  CHECK(must(cpu->cpuid()).size() > 10);
  auto regs = must(cpu->regs());
  regs.rbx = 0x1234'5678'9abc'def0;
  REQUIRE(cpu->set_regs(regs));
  CHECK(must(cpu->regs()).rbx == 0x1234'5678'9abc'def0);
  auto sregs = must(cpu->sregs());
  sregs.cr2 = 0x42;
  REQUIRE(cpu->set_sregs(sregs));
  CHECK(must(cpu->sregs()).cr2 == 0x42);
  auto fpu = must(cpu->fpu());
  fpu.fcw = 0x37f;
  REQUIRE(cpu->set_fpu(fpu));
  CHECK(must(cpu->fpu()).fcw == 0x37f);
  const auto xsave = must(cpu->xsave());
  CHECK(xsave.size() >= 4096);
  CHECK(cpu->set_xsave(xsave));
  CHECK(cpu->set_xsave(std::span{xsave}.first(4)).error().code == errc::invalid_argument);
  CHECK(cpu->set_lapic(must(cpu->lapic())));
  CHECK(cpu->set_events(must(cpu->events())));
  CHECK(cpu->set_debugregs(must(cpu->debugregs())));
  CHECK(cpu->set_xcrs(must(cpu->xcrs())));
  CHECK(must(cpu->mp_state()).mp_state == KVM_MP_STATE_RUNNABLE);
  CHECK(cpu->set_mp_state({KVM_MP_STATE_RUNNABLE}));
  CHECK(cpu->kvmclock_ctrl());
}

TEST_CASE(
    "kvm vcpu: instruction bytes, are read through the guest's page tables as far as they go") {
  constexpr std::uint64_t present_writable = 3;
  constexpr gpa tables = 0x10000; // One page per level, each entry leads to the next.
  constexpr gpa frame = 0x5000;
  constexpr std::uint64_t linear = 0xffff'8000'0000'1ffa; // Six bytes before an unmapped page.
  const auto ram = small_ram();
  const auto entry = [&](gpa at, std::uint64_t to) {
    const std::array value{to | present_writable};
    must(ram->write(at, std::as_bytes(std::span{value})));
  };
  entry(tables + 256 * 8, tables + 0x1000);
  entry(tables + 0x1000, tables + 0x2000);
  entry(tables + 0x2000, tables + 0x3000);
  entry(tables + 0x3000 + 8, frame);
  const std::array<std::uint8_t, 6> bytes{1, 2, 3, 4, 5, 6};
  must(ram->write(frame + 0xffa, std::as_bytes(std::span{bytes})));
  const auto vm = empty_vm();
  must(vm->add_memory(ram));
  const auto cpu = must(vm->create_vcpu(0));
  must(cpu->set_cpuid(must(host().supported_cpuid())));
  auto special = must(cpu->sregs());
  special.cr3 = tables;
  special.cr4 = 0x20;
  special.cr0 = 0x80000011;
  special.efer = 0x500;
  special.cs.base = 0;
  special.cs.l = 1;
  special.cs.db = 0;
  must(cpu->set_sregs(special));
  auto registers = must(cpu->regs());
  registers.rip = linear;
  must(cpu->set_regs(registers));
  CHECK(must(cpu->translate(linear)) == frame + 0xffa);
  CHECK(cpu->translate(linear + 6).error().code == errc::guest_fault);
  CHECK_THAT(vcpu::last_words(*cpu, ram.get(), {}), Catch::EndsWith(" code=01 02 03 04 05 06"));
  CHECK_THAT(vcpu::last_words(*cpu, nullptr, {}), Catch::EndsWith(" code=unreadable"));
}

TEST_CASE("kvm vcpu: an MSR that KVM refuses, is named with its place") {
  const auto vm = empty_vm();
  REQUIRE(vm->add_memory(small_ram()));
  const auto cpu = must(vm->create_vcpu(0));
  constexpr std::uint32_t sysenter_cs = 0x174;
  constexpr std::uint32_t no_such_msr = 0xdead0001;
  const std::array<kvm_msr_entry, 1> good{{{sysenter_cs, 0, 0x10}}};
  REQUIRE(cpu->set_msrs(good));
  const std::array<std::uint32_t, 1> asked{sysenter_cs};
  CHECK(must(cpu->msrs(asked)).front().data == 0x10);
  const std::array<kvm_msr_entry, 2> bad{{{sysenter_cs, 0, 0}, {no_such_msr, 0, 1}}};
  CHECK(cpu->set_msrs(bad).error().text ==
        "KVM_SET_MSRS: MSR 0xdead0001 (entry 1 of 2) is refused");
  const std::array<std::uint32_t, 2> unknown{no_such_msr, sysenter_cs};
  CHECK_THAT(cpu->msrs(unknown).error().text, Catch::Contains("(entry 0 of 2)"));
}

TEST_CASE("kvm: ports and memory in every width, and strings of them, reach the bus and return") {
  const auto bus = stopping_bus();
  machine m{"echo", cpu_mode::flat32, bus};
  m.run_all();
  CHECK(m.wait_parked().reason == end_reason::handler_asked);
  std::vector<written> expected{
      {false, port_result, 1, 0xa0},       {false, port_result, 2, 0xa1a0},
      {false, port_result, 4, 0xa3a2a1a0}, {true, device + 0x10, 4, 0xd3d2d1d1},
      {true, device + 0x14, 2, 0xd3d2},    {true, device + 0x18, 1, 0xd1},
  };
  for (int i = 0; i < 5; ++i)
    expected.push_back({false, port_result, 2, 0xa1a0});
  CHECK(bus->writes() == expected);
  const auto& count = m.cpu().count();
  CHECK(count.mmio_read == 3);
  CHECK(count.mmio_write == 3);
  CHECK(count.pio_in >= 4);
  CHECK(count.pio_out >= 5);
  CHECK(count.exits >= 15);
}

TEST_CASE("kvm: doorbells, ring without an exit and only for their value") {
  const auto bus = stopping_bus();
  machine m{"doorbell", cpu_mode::flat32, bus};
  const auto zero = make_event();
  const auto one = make_event();
  const auto port = make_event();
  const kvm::doorbell bell{kvm::doorbell::space::memory, device + 0x50, 4, {}};
  auto with_value = [&](std::uint64_t value) {
    auto it = bell;
    it.value = value;
    return it;
  };
  const auto first = m.vm().bind_doorbell(with_value(0), zero);
  const auto second = m.vm().bind_doorbell(with_value(1), one);
  const auto third = m.vm().bind_doorbell({kvm::doorbell::space::port, 0x50, 4, 7}, port);
  REQUIRE(first);
  REQUIRE(second);
  REQUIRE(third);
  m.run_all();
  CHECK(m.wait_parked().reason == end_reason::handler_asked);
  CHECK(take(zero) == 1);
  CHECK(take(one) == 2);
  CHECK(take(port) == 1);
  CHECK(bus->writes().empty());
  CHECK(m.cpu().count().mmio_write == 0);
  CHECK(m.cpu().count().pio_out == 1);
}

TEST_CASE("kvm: a doorbell without length, rings for every write there") {
  if (host().check_extension(KVM_CAP_IOEVENTFD_NO_LENGTH) == 0) {
    WARN("this KVM has no doorbells without length");
    return;
  }
  const auto bus = stopping_bus();
  machine m{"doorbell", cpu_mode::flat32, bus};
  const auto event = make_event();
  const auto bound =
      m.vm().bind_doorbell({kvm::doorbell::space::memory, device + 0x50, 0, {}}, event);
  REQUIRE(bound);
  m.run_all();
  CHECK(m.wait_parked().reason == end_reason::handler_asked);
  CHECK(take(event) == 3);
  CHECK(bus->writes() == std::vector<written>{{false, 0x50, 4, 7}});
}

TEST_CASE("kvm: a doorbell that is dropped, leaves its place to the next one and to the bus") {
  const auto bus = stopping_bus();
  machine m{"doorbell", cpu_mode::flat32, bus};
  const kvm::doorbell bell{kvm::doorbell::space::memory, device + 0x50, 4, 1};
  auto event = make_event();
  auto bound = m.vm().bind_doorbell(bell, event);
  REQUIRE(bound);
  CHECK_FALSE(m.vm().bind_doorbell(bell, make_event()));
  bound = m.vm().bind_doorbell({kvm::doorbell::space::memory, device + 0x60, 4, 1}, event);
  REQUIRE(bound);
  CHECK(m.vm().bind_doorbell(bell, event));
  m.run_all();
  CHECK(m.wait_parked().reason == end_reason::handler_asked);
  CHECK(bus->writes().size() == 4);
  CHECK(take(event) == 0);
}

TEST_CASE("kvm: an eventfd, interrupts and wakes a halted processor each time") {
  const auto bus = endless_bus();
  machine m{"irq", cpu_mode::real, bus, irqchip::in_kernel};
  const auto event = make_event();
  const auto bound = m.vm().bind_irq(5, event);
  REQUIRE(bound);
  m.run_all();
  REQUIRE(bus->wait_done());
  for (std::size_t i = 1; i <= 50; ++i) {
    REQUIRE(::eventfd_write(event->get(), 1) == 0);
    REQUIRE(bus->wait_writes(i));
  }
  CHECK(bus->writes().back() == written{false, port_result, 2, 50});
  CHECK(m.cpu().count().hlt == 0);
}

TEST_CASE("kvm: a line set by hand, interrupts once an edge") {
  const auto bus = endless_bus();
  machine m{"irq", cpu_mode::real, bus, irqchip::in_kernel};
  m.run_all();
  REQUIRE(bus->wait_done());
  for (std::size_t i = 1; i <= 5; ++i) {
    REQUIRE(m.vm().set_irq_line(5, true));
    REQUIRE(bus->wait_writes(i));
    REQUIRE(m.vm().set_irq_line(5, false));
  }
  CHECK(bus->writes().size() == 5);
}

TEST_CASE("kvm: a level line, is told of the guest's acknowledgement") {
  const auto bus = endless_bus();
  machine m{"irq", cpu_mode::real, bus, irqchip::in_kernel};
  const auto event = make_event();
  const auto acknowledged = make_event();
  const auto bound = m.vm().bind_irq(5, event, acknowledged);
  REQUIRE(bound);
  m.run_all();
  REQUIRE(bus->wait_done());
  for (std::size_t i = 1; i <= 5; ++i) {
    REQUIRE(::eventfd_write(event->get(), 1) == 0);
    REQUIRE(bus->wait_writes(i));
    REQUIRE(wait_signalled(acknowledged));
    CHECK(take(acknowledged) == 1);
  }
}

TEST_CASE("kvm: messages, sent by hand or by a routed eventfd, interrupt") {
  constexpr std::uint32_t vector_of_line_5 = 0x25;
  constexpr std::uint32_t line = 30;
  constexpr kvm::msi message{0xfee00000, vector_of_line_5};
  for (const bool by_hand : {true, false}) {
    const auto bus = endless_bus();
    machine m{"irq", cpu_mode::real, bus, irqchip::in_kernel};
    auto lapic = must(m.cpu().processor().lapic());
    lapic.regs[0xf1] |= 1; // Software enable, bit 8 of the spurious vector register.
    must(m.cpu().processor().set_lapic(lapic));
    const auto event = make_event();
    auto routes = m.vm().routes();
    must(routes.set_msi(line, message));
    must(m.vm().set_routes(routes));
    const auto bound = m.vm().bind_irq(line, event);
    REQUIRE(bound);
    m.run_all();
    REQUIRE(bus->wait_done());
    if (by_hand)
      REQUIRE(m.vm().signal_msi(message));
    else
      REQUIRE(::eventfd_write(event->get(), 1) == 0);
    REQUIRE(bus->wait_writes(1));
  }
}

TEST_CASE("kvm: a line that leads nowhere, stays silent until it is routed again") {
  const auto bus = endless_bus();
  machine m{"irq", cpu_mode::real, bus, irqchip::in_kernel};
  const auto event = make_event();
  const auto bound = m.vm().bind_irq(5, event);
  REQUIRE(bound);
  m.run_all();
  REQUIRE(bus->wait_done());
  auto silent = m.vm().routes();
  silent.clear(5);
  const auto before = m.vm().routes();
  REQUIRE(m.vm().set_routes(silent));
  REQUIRE(::eventfd_write(event->get(), 1) == 0);
  std::this_thread::sleep_for(milliseconds{50});
  CHECK(bus->writes().empty());
  REQUIRE(m.vm().set_routes(before));
  REQUIRE(::eventfd_write(event->get(), 1) == 0);
  REQUIRE(bus->wait_writes(1));
}

TEST_CASE("kvm: processors, start one another by INIT and SIPI") {
  for (std::uint32_t processors = 2; processors <= 4; ++processors) {
    const auto bus = stopping_bus();
    machine m{"smp", cpu_mode::flat32, bus, irqchip::in_kernel, processors};
    m.set_word(data + 4, processors - 1);
    m.run_all();
    CHECK(m.wait_parked().reason == end_reason::handler_asked);
    CHECK(m.word(data) == processors - 1);
    REQUIRE(bus->writes().size() == 1);
    for (std::size_t i = 0; i < m.cpus(); ++i)
      CHECK(m.cpu(i).end(patience));
  }
}
