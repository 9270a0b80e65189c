#include "actors/vcpu/arch/x86_64/entry.hpp"

#include "actors/vcpu/arch/x86_64/layout.hpp"

#include <cstring>

namespace troupe::x86_64 {
namespace {

// Bits of a segment's attributes, as the upper half of a descriptor orders them.
constexpr std::uint16_t present = 1 << 7;
constexpr std::uint16_t code_or_data = 1 << 4;
constexpr std::uint16_t long_code = 1 << 13;
constexpr std::uint16_t wide = 1 << 14;
constexpr std::uint16_t in_pages = 1 << 15;

constexpr std::uint16_t code_type = 0xb; // execute, read, accessed
constexpr std::uint16_t data_type = 0x3; // read, write, accessed
constexpr std::uint16_t task_type = 0xb; // busy task state

constexpr std::uint32_t all_pages = 0xfffff;
constexpr std::uint32_t smallest_task = 0x67; // Bytes of a task state, less one.

struct segment {
  std::uint16_t attributes = 0;
  std::uint32_t limit = 0;
};

constexpr std::uint16_t index_code = 1;
constexpr std::uint16_t index_data = 2;
constexpr std::uint16_t index_task = 3;

constexpr segment data{present | code_or_data | data_type | wide | in_pages, all_pages};
constexpr segment task{present | task_type, smallest_task};

constexpr segment code(entry_mode mode) noexcept {
  const auto width = mode == entry_mode::long_mode ? long_code : wide;
  return {static_cast<std::uint16_t>(present | code_or_data | code_type | in_pages | width),
          all_pages};
}

// Base 0 always.
constexpr std::uint64_t descriptor(const segment& it) noexcept {
  return (it.limit & 0xffffULL) | (it.limit & 0xf0000ULL) << 32 |
         static_cast<std::uint64_t>(it.attributes) << 40;
}

kvm_segment loaded(const segment& it, std::uint16_t index) noexcept {
  kvm_segment out{};
  const auto bit = [&](unsigned at) { return static_cast<std::uint8_t>(it.attributes >> at & 1); };
  // KVM counts limits in bytes whatever the granularity.
  out.limit = bit(15) != 0 ? it.limit << 12 | 0xfff : it.limit;
  out.selector = static_cast<std::uint16_t>(index * sizeof(std::uint64_t));
  out.type = it.attributes & 0xf;
  out.s = bit(4);
  out.present = bit(7);
  out.avl = bit(12);
  out.l = bit(13);
  out.db = bit(14);
  out.g = bit(15);
  return out;
}

constexpr std::uint64_t cr0_protection = 1 << 0;
constexpr std::uint64_t cr0_extension_type = 1 << 4; // Always set on real processors.
constexpr std::uint64_t cr0_paging = 1ULL << 31;
constexpr std::uint64_t cr4_physical_extension = 1 << 5;
constexpr std::uint64_t efer_long = 1 << 8 | 1 << 10;

constexpr std::uint64_t rflags_reserved = 1 << 1; // Reads as 1.

constexpr std::uint64_t page_writable = 0x3; // present, writable
constexpr std::uint64_t page_large = 0x80;
constexpr std::uint64_t entries_per_table = 512;
constexpr std::uint64_t directories = 4;
constexpr std::uint64_t tables = 2 + directories;

constexpr auto make_identity_map() noexcept {
  std::array<std::uint64_t, tables * entries_per_table> out{};
  const auto table = [](std::uint64_t index) {
    return layout::page_tables + index * entries_per_table * sizeof(std::uint64_t);
  };
  out[0] = table(1) | page_writable;
  for (std::uint64_t i = 0; i < directories; ++i)
    out[entries_per_table + i] = table(2 + i) | page_writable;
  for (std::uint64_t page = 0; page < directories * entries_per_table; ++page)
    out[2 * entries_per_table + page] = page * mib(2) | page_writable | page_large;
  return out;
}

} // namespace

kvm_regs registers(const entry& how) noexcept {
  kvm_regs out{};
  out.rip = how.instruction;
  out.rflags = rflags_reserved;
  if (how.mode == entry_mode::protected_mode) {
    out.rbx = layout::pvh_start_info;
    return out;
  }
  out.rsi = layout::zero_page;
  out.rsp = layout::stack_top;
  out.rbp = layout::stack_top;
  return out;
}

kvm_sregs system_registers(kvm_sregs reset, const entry& how) noexcept {
  const auto long_mode = how.mode == entry_mode::long_mode;
  reset.cs = loaded(code(how.mode), index_code);
  reset.ds = reset.es = reset.fs = reset.gs = reset.ss = loaded(data, index_data);
  reset.tr = loaded(task, index_task);
  reset.gdt = {layout::gdt, sizeof(std::uint64_t) * 4 - 1, {}};
  // One null gate: the first exception is the last one, until the guest has a table of its own.
  reset.idt = {layout::idt, sizeof(std::uint64_t) - 1, {}};
  reset.cr0 = cr0_protection | cr0_extension_type | (long_mode ? cr0_paging : 0);
  reset.cr3 = long_mode ? layout::page_tables : 0;
  reset.cr4 = long_mode ? cr4_physical_extension : 0;
  reset.efer = long_mode ? efer_long : 0;
  return reset;
}

kvm_fpu float_registers() noexcept {
  kvm_fpu out{};
  out.fcw = 0x37f;
  out.mxcsr = 0x1f80;
  return out;
}

std::vector<kvm_msr_entry> boot_msrs() {
  constexpr std::uint64_t fast_strings = 1;
  constexpr std::uint64_t mtrr_write_back = 1 << 11 | 6; // On, no fixed ranges, write-back.
  return {
      {0x174, 0, 0},               // IA32_SYSENTER_CS
      {0x175, 0, 0},               // IA32_SYSENTER_ESP
      {0x176, 0, 0},               // IA32_SYSENTER_EIP
      {0xc0000081, 0, 0},          // STAR
      {0xc0000082, 0, 0},          // LSTAR
      {0xc0000083, 0, 0},          // CSTAR
      {0xc0000084, 0, 0},          // SYSCALL_MASK
      {0xc0000102, 0, 0},          // KERNEL_GS_BASE
      {0x10, 0, 0},                // IA32_TSC
      {0x1a0, 0, fast_strings},    // IA32_MISC_ENABLE
      {0x2ff, 0, mtrr_write_back}, // IA32_MTRR_DEF_TYPE
  };
}

kvm_lapic_state with_local_interrupts(kvm_lapic_state lapic) noexcept {
  const auto deliver = [&](std::size_t at, std::uint32_t mode) {
    std::uint32_t entry = 0;
    std::memcpy(&entry, lapic.regs + at, sizeof(entry));
    entry = (entry & ~0x700U) | mode << 8;
    std::memcpy(lapic.regs + at, &entry, sizeof(entry));
  };
  deliver(0x350, 7); // LINT0: ExtINT
  deliver(0x360, 4); // LINT1: NMI
  return lapic;
}

std::array<std::uint64_t, 4> descriptors(const entry& how) noexcept {
  return {0, descriptor(code(how.mode)), descriptor(data), descriptor(task)};
}

std::span<const std::uint64_t> identity_map() noexcept {
  static constexpr auto tables = make_identity_map();
  return tables;
}

} // namespace troupe::x86_64
