#include "actors/vcpu/arch/x86_64/entry.hpp"

#include "actors/vcpu/arch/x86_64/layout.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>

using namespace troupe;
using x86_64::entry_mode;

namespace {

constexpr x86_64::entry linux64{entry_mode::long_mode, 0x1000200};
constexpr x86_64::entry pvh{entry_mode::protected_mode, 0x1000000};

// What KVM_GET_SREGS gives for a fresh first processor, as far as it must survive.
kvm_sregs fresh() {
  kvm_sregs it{};
  it.apic_base = 0xfee00900;
  it.cr0 = 0x60000010;
  it.cr8 = 0;
  return it;
}

// A page walk, as the processor does it from CR3 on.
std::uint64_t translate(std::span<const std::uint64_t> tables, gpa address) {
  const auto table = [&](std::uint64_t entry) {
    return ((entry & ~0xfffULL) - x86_64::layout::page_tables) / sizeof entry;
  };
  const auto pml4 = tables[address >> 39 & 511];
  REQUIRE((pml4 & 3) == 3);
  const auto pdpt = tables[table(pml4) + (address >> 30 & 511)];
  REQUIRE((pdpt & 0x83) == 3);
  const auto pd = tables[table(pdpt) + (address >> 21 & 511)];
  REQUIRE((pd & 0x83) == 0x83);
  return (pd & ~0x1fffffULL) | (address & 0x1fffff);
}

} // namespace

TEST_CASE("entry: Linux in 64 bits, finds boot_params in RSI and a stack") {
  const auto set = x86_64::registers(linux64);
  CHECK(set.rip == 0x1000200);
  CHECK(set.rsi == 0x7000);
  CHECK(set.rsp == 0x8ff0);
  CHECK(set.rflags == 2);
  const auto system = x86_64::system_registers(fresh(), linux64);
  CHECK(system.cr0 == 0x80000011);
  CHECK(system.cr3 == 0x9000);
  CHECK(system.cr4 == 0x20);
  CHECK(system.efer == 0x500);
  CHECK(system.cs.l == 1);
  CHECK(system.cs.db == 0);
  CHECK(system.cs.selector == 8);
  CHECK(system.ds.selector == 16);
  CHECK(system.tr.selector == 24);
  CHECK(system.apic_base == 0xfee00900);
}

TEST_CASE("entry: PVH, is 32 bits without paging and finds its start info in RBX") {
  const auto set = x86_64::registers(pvh);
  CHECK(set.rip == 0x1000000);
  CHECK(set.rbx == 0x6000);
  CHECK(set.rsi == 0);
  CHECK(set.rflags == 2);
  const auto system = x86_64::system_registers(fresh(), pvh);
  CHECK(system.cr0 == 0x11);
  CHECK(system.cr3 == 0);
  CHECK(system.cr4 == 0);
  CHECK(system.efer == 0);
  CHECK(system.cs.l == 0);
  CHECK(system.cs.db == 1);
  CHECK(system.cs.limit == 0xffffffff);
  CHECK(system.ss.limit == 0xffffffff);
  CHECK(system.tr.limit == 0x67);
  CHECK(system.tr.type == 0xb);
  CHECK(system.gdt.base == 0x500);
  CHECK(system.gdt.limit == 31);
  CHECK(system.idt.base == 0x520);
}

TEST_CASE("entry: the descriptors in memory, are those of the registers") {
  CHECK(x86_64::descriptors(linux64) == std::array<std::uint64_t, 4>{0, 0x00af9b000000ffff,
                                                                     0x00cf93000000ffff,
                                                                     0x00008b0000000067});
  CHECK(x86_64::descriptors(pvh)[1] == 0x00cf9b000000ffff);
}

TEST_CASE("entry: the first 4 GiB, are mapped onto themselves") {
  const auto tables = x86_64::identity_map();
  REQUIRE(tables.size_bytes() == x86_64::layout::page_tables_end - x86_64::layout::page_tables);
  for (const gpa address : {0x0ULL, 0x7000ULL, 0x1000200ULL, 0x3fffffffULL, 0x40000000ULL,
                            0xd0000050ULL, 0xfee00000ULL, 0xffffffffULL}) {
    CAPTURE(address);
    CHECK(translate(tables, address) == address);
  }
  CHECK(tables[1] == 0);
  CHECK(tables[512 + 4] == 0);
}

TEST_CASE("entry: the local APIC, keeps everything but the two delivery modes") {
  kvm_lapic_state page{};
  std::fill(std::begin(page.regs), std::end(page.regs), '\x5a');
  const auto set = x86_64::with_local_interrupts(page);
  std::uint32_t lint0 = 0;
  std::uint32_t lint1 = 0;
  std::memcpy(&lint0, set.regs + 0x350, 4);
  std::memcpy(&lint1, set.regs + 0x360, 4);
  CHECK(lint0 == 0x5a5a5f5a);
  CHECK(lint1 == 0x5a5a5c5a);
  CHECK(std::count(std::begin(set.regs), std::end(set.regs), '\x5a') == sizeof(page.regs) - 2);
}

TEST_CASE("entry: float and model-specific registers, are as after reset") {
  CHECK(x86_64::float_registers().fcw == 0x37f);
  CHECK(x86_64::float_registers().mxcsr == 0x1f80);
  const auto all = x86_64::boot_msrs();
  const auto value = [&](std::uint32_t index) {
    return std::ranges::find(all, index, &kvm_msr_entry::index)->data;
  };
  CHECK(all.size() == 11);
  CHECK(value(0x2ff) == 0x806); // Without it Linux takes all memory for uncached.
  CHECK(value(0x1a0) == 1);
  CHECK(value(0xc0000082) == 0);
}
