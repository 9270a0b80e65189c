#pragma once

#include "actors/vcpu/kvm/vcpu.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace troupe::vcpu {

/// "0f b8 c1"; empty for none.
[[nodiscard]] std::string hex(std::span<const std::byte> bytes);

/// The registers that tell where a guest stopped, in one line.
[[nodiscard]] std::string describe(const kvm_regs& regs, const kvm_sregs& sregs);

/// Registers and up to 15 bytes at the instruction pointer, read through the guest's own page
/// tables when `instruction` is empty. What cannot be read is left out and said.
[[nodiscard]] std::string last_words(const kvm::vcpu& processor, const memory::guest_memory* ram,
                                     std::span<const std::byte> instruction);

} // namespace troupe::vcpu
