#include "actors/vcpu/kvm/abi.hpp"
#include "actors/vcpu/kvm/capabilities.hpp"
#include "actors/vcpu/kvm/routing_table.hpp"
#include "actors/vcpu/kvm/run_page_raw.hpp"
#include "actors/vcpu/kvm/slot_table.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>

using namespace troupe;
using namespace troupe::kvm;

extern "C" const unsigned long kvm_abi_of_c[15];
extern "C" const unsigned long kvm_plain_of_c[30];

namespace {

constexpr auto address_max = std::numeric_limits<std::uint64_t>::max();

// A shared page as the kernel leaves it: kvm_run, and a page of port data behind it.
struct shared_page {
  alignas(kvm_run) std::array<std::byte, 8192> bytes{};

  shared_page(std::uint32_t reason) { run().exit_reason = reason; }
  [[nodiscard]] kvm_run& run() { return *reinterpret_cast<kvm_run*>(bytes.data()); }
  [[nodiscard]] outcome<exit_event> decode() { return decode_exit(bytes); }
  template <class T>
  [[nodiscard]] T as() {
    return std::get<T>(decode().value());
  }
};

shared_page port_page(std::uint8_t size, std::uint32_t count, std::uint64_t offset) {
  shared_page page{KVM_EXIT_IO};
  page.run().io.port = 0x3f8;
  page.run().io.size = size;
  page.run().io.count = count;
  page.run().io.data_offset = offset;
  return page;
}

} // namespace

TEST_CASE("kvm abi: ioctl numbers and offsets, are those of the C header") {
  const unsigned long ours[] = {
      abi::get_msr_index_list,
      abi::get_supported_cpuid,
      abi::set_gsi_routing,
      abi::get_msrs,
      abi::set_msrs,
      abi::set_cpuid2,
      abi::get_cpuid2,
      abi::get_xsave,
      abi::set_xsave,
      abi::get_xsave2,
      sizeof(abi::list_head),
      sizeof(abi::counted_head),
      sizeof(abi::counted_head),
      sizeof(abi::counted_head),
      sizeof(kvm_run),
  };
  CHECK(std::ranges::equal(ours, kvm_abi_of_c));
}

TEST_CASE("kvm abi: the other numbers, are read alike by C and C++") {
  const unsigned long ours[] = {
      KVM_CREATE_VM,       KVM_SET_USER_MEMORY_REGION,
      KVM_SET_TSS_ADDR,    KVM_CREATE_IRQCHIP,
      KVM_IRQ_LINE,        KVM_SIGNAL_MSI,
      KVM_IRQFD,           KVM_IOEVENTFD,
      KVM_CREATE_VCPU,     KVM_RUN,
      KVM_GET_REGS,        KVM_SET_REGS,
      KVM_GET_SREGS,       KVM_SET_SREGS,
      KVM_GET_FPU,         KVM_SET_FPU,
      KVM_GET_LAPIC,       KVM_SET_LAPIC,
      KVM_GET_MP_STATE,    KVM_SET_MP_STATE,
      KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
      KVM_GET_DEBUGREGS,   KVM_SET_DEBUGREGS,
      KVM_GET_XCRS,        KVM_SET_XCRS,
      KVM_TRANSLATE,       KVM_KVMCLOCK_CTRL,
      KVM_ENABLE_CAP,      KVM_CHECK_EXTENSION,
  };
  CHECK(std::ranges::equal(ours, kvm_plain_of_c));
}

TEST_CASE("kvm abi: a list that claims more entries than it has room for, gives what it has") {
  const std::array<std::uint32_t, 2> two{7, 8};
  abi::counted<abi::list_head, std::uint32_t> list{std::span<const std::uint32_t>{two}};
  CHECK(list.entries() == std::vector<std::uint32_t>{7, 8});
  const std::uint32_t lie = 1000;
  std::memcpy(list.data(), &lie, sizeof lie);
  CHECK(list.entries().size() == 2);
}

TEST_CASE("kvm: missing capabilities, are named all at once") {
  CHECK(check_capabilities([](int) { return 1; }));
  const auto lacking = check_capabilities([](int number) {
    return number == KVM_CAP_IRQFD || number == KVM_CAP_IMMEDIATE_EXIT ? 0 : 1;
  });
  REQUIRE_FALSE(lacking);
  CHECK(lacking.error() ==
        failure{errc::unimplemented, "KVM of this host lacks IRQFD, IMMEDIATE_EXIT", 0});
  const auto none = check_capabilities([](int) { return -1; });
  for (const auto& it : required_capabilities())
    CHECK_THAT(none.error().text, Catch::Contains(std::string{it.name}));
}

TEST_CASE("slot table: numbers, are the lowest free ones") {
  slot_table table{3};
  CHECK(table.empty());
  CHECK(table.add({0x0000, 0x1000, 0x10000}) == 0);
  CHECK(table.add({0x1000, 0x1000, 0x20000}) == 1);
  CHECK(table.add({0x2000, 0x1000, 0x30000}) == 2);
  CHECK(table.add({0x3000, 0x1000, 0x40000}).error().code == errc::resource_exhausted);
  CHECK(table.remove(1)->host == 0x20000);
  CHECK(table.remove(1).error().code == errc::not_found);
  CHECK(table.add({0x3000, 0x1000, 0x40000}) == 1);
}

TEST_CASE("slot table: slots that overlap, wrap or split pages, are refused") {
  slot_table table{8};
  REQUIRE(table.add({0x2000, 0x2000, 0x10000}));
  CHECK(table.add({0x1000, 0x1000, 0x20000}));
  CHECK(table.add({0x4000, 0x1000, 0x20000})); // The same memory twice is legal.
  for (const auto& bad : {memory::host_slot{0x1000, 0x2000, 0x30000},
                          {0x3000, 0x1000, 0x30000},
                          {0x0000, 0x8000, 0x30000},
                          {0x8000, 0, 0x30000},
                          {0x8800, 0x1000, 0x30000},
                          {0x8000, 0x1800, 0x30000},
                          {0x8000, 0x1000, 0x30800},
                          {address_max - 0xfff, 0x2000, 0x30000},
                          {0x8000, 0x2000, address_max - 0xfff}})
    CHECK(table.add(bad).error().code == errc::invalid_argument);
}

TEST_CASE("routing: the defaults, lead 16 lines to PIC and I/O APIC and 8 to the I/O APIC") {
  const auto all = routing_table::defaults().entries();
  CHECK(all.size() == 40);
  const auto to = [&](std::uint32_t gsi, std::uint32_t chip, std::uint32_t pin) {
    return std::ranges::count_if(all, [&](const kvm_irq_routing_entry& it) {
      return it.gsi == gsi && it.type == KVM_IRQ_ROUTING_IRQCHIP && it.u.irqchip.irqchip == chip &&
             it.u.irqchip.pin == pin;
    });
  };
  CHECK(to(5, KVM_IRQCHIP_IOAPIC, 5) == 1);
  CHECK(to(5, KVM_IRQCHIP_PIC_MASTER, 5) == 1);
  CHECK(to(12, KVM_IRQCHIP_PIC_SLAVE, 4) == 1);
  CHECK(to(23, KVM_IRQCHIP_IOAPIC, 23) == 1);
  CHECK(to(24, KVM_IRQCHIP_IOAPIC, 24) == 0);
}

TEST_CASE("routing: a changed line, replaces what it led to") {
  auto table = routing_table::defaults();
  REQUIRE(table.set_ioapic(0, 2));
  REQUIRE(table.set_msi(30, {0x1234'fee0'0000, 0x41}));
  table.clear(7);
  const auto all = table.entries();
  CHECK(all.size() == 40 - 1 + 1 - 2);
  CHECK(all.front().u.irqchip.pin == 2);
  CHECK(all.back().gsi == 30);
  CHECK(all.back().u.msi.address_lo == 0xfee0'0000);
  CHECK(all.back().u.msi.address_hi == 0x1234);
  CHECK(all.back().u.msi.data == 0x41);
  CHECK(table.set_ioapic(0, 24).error().code == errc::invalid_argument);
  CHECK(table.set_ioapic(max_gsi, 0).error().code == errc::invalid_argument);
  CHECK(table.set_msi(max_gsi, {}).error().code == errc::invalid_argument);
}

TEST_CASE("kvm exit: port data, is the stretch behind kvm_run that the kernel names") {
  auto page = port_page(2, 3, 4096);
  page.run().io.direction = KVM_EXIT_IO_IN;
  const auto exit = page.as<port_exit>();
  CHECK(exit.port == 0x3f8);
  CHECK(exit.in);
  CHECK(exit.width == 2);
  CHECK(exit.data.data() == page.bytes.data() + 4096);
  CHECK(exit.data.size() == 6);
  CHECK(port_page(4, 1024, 4096).decode());
}

TEST_CASE("kvm exit: port data outside of the page or of odd width, is refused") {
  CHECK(port_page(1, 1, 8192).decode().error().code == errc::peer_fault);
  CHECK(port_page(4, 1025, 4096).decode().error().code == errc::peer_fault);
  CHECK(port_page(1, 0xffffffff, 4096).decode().error().code == errc::peer_fault);
  CHECK(port_page(1, 1, address_max).decode().error().code == errc::peer_fault);
  for (const auto width : std::array<std::uint8_t, 4>{0, 3, 8, 255})
    CHECK(port_page(width, 1, 4096).decode().error().code == errc::peer_fault);
}

TEST_CASE("kvm exit: memory data over 8 bytes, is refused") {
  shared_page page{KVM_EXIT_MMIO};
  page.run().mmio.phys_addr = 0xd0000000;
  page.run().mmio.len = 8;
  page.run().mmio.is_write = 1;
  CHECK(page.as<memory_exit>().data.size() == 8);
  CHECK(page.as<memory_exit>().write);
  page.run().mmio.len = 9;
  CHECK(page.decode().error().code == errc::peer_fault);
}

TEST_CASE("kvm exit: an emulation failure, carries the instruction when its flag is set") {
  shared_page page{KVM_EXIT_INTERNAL_ERROR};
  page.run().internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
  page.run().internal.ndata = 3;
  page.run().emulation_failure.insn_size = 2;
  page.run().emulation_failure.insn_bytes[0] = 0x0f;
  page.run().emulation_failure.insn_bytes[1] = 0x0b;
  CHECK(page.as<internal_error_exit>().instruction_size == 0);
  page.run().emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
  const auto exit = page.as<internal_error_exit>();
  CHECK(exit.instruction_size == 2);
  CHECK(exit.instruction[1] == std::byte{0x0b});
  page.run().emulation_failure.insn_size = 200;
  CHECK(page.as<internal_error_exit>().instruction_size == max_instruction);
  page.run().internal.ndata = 1000;
  CHECK(page.as<internal_error_exit>().data_count == 16);
}

TEST_CASE("kvm exit: reasons we never asked for, keep their number") {
  CHECK(shared_page{KVM_EXIT_DEBUG}.as<unexpected_exit>().reason == KVM_EXIT_DEBUG);
  CHECK(shared_page{77}.as<unexpected_exit>().reason == 77);
  std::array<std::byte, 8> tiny{};
  CHECK_FALSE(decode_exit(tiny));
}
