#pragma once

#include "messages/vocabulary/units.hpp"

#include <linux/kvm.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// What an x86_64 processor holds before its first instruction. Pure functions: the caller does the
/// ioctls. Sources: Linux Documentation/x86/boot.rst (64-bit boot protocol), Xen's PVH boot ABI,
/// Intel SDM volume 3 (descriptors, paging, LVT).
namespace troupe::x86_64 {

/// How a kernel wants to be entered.
enum class entry_mode : std::uint8_t {
  long_mode,      ///< 64 bits, paging on, RSI = boot_params: Linux, and bare payloads.
  protected_mode, ///< 32 bits, paging off, RBX = hvm_start_info: PVH.
};

/// The first instruction of the first processor.
struct entry {
  entry_mode mode = entry_mode::long_mode;
  gpa instruction = 0;
  friend bool operator==(const entry&, const entry&) = default;
};

/// For KVM_SET_REGS.
[[nodiscard]] kvm_regs registers(const entry& how) noexcept;

/// For KVM_SET_SREGS: `reset`, as KVM_GET_SREGS gave it, with segments, control registers and
/// tables of the mode. The rest (the APIC's base above all) stays as KVM made it.
[[nodiscard]] kvm_sregs system_registers(kvm_sregs reset, const entry& how) noexcept;

/// For KVM_SET_FPU: the control words that FNINIT and reset leave behind.
[[nodiscard]] kvm_fpu float_registers() noexcept;

/// For KVM_SET_MSRS: system call entries empty, fast strings on, memory cached by default.
[[nodiscard]] std::vector<kvm_msr_entry> boot_msrs();

/// For KVM_SET_LAPIC: LINT0 takes the PIC's interrupts, LINT1 is the NMI, as firmware leaves them.
[[nodiscard]] kvm_lapic_state with_local_interrupts(kvm_lapic_state lapic) noexcept;

/// The descriptors behind layout::gdt, which the segments of `how` were loaded from.
[[nodiscard]] std::array<std::uint64_t, 4> descriptors(const entry& how) noexcept;

/// What is from layout::page_tables on: the first 4 GiB mapped onto themselves.
[[nodiscard]] std::span<const std::uint64_t> identity_map() noexcept;

} // namespace troupe::x86_64
