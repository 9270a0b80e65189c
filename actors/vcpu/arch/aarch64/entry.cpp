#include "actors/vcpu/arch/aarch64/entry.hpp"

namespace troupe::aarch64 {
namespace {

// KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE; a register counts from there in 4 bytes.
constexpr std::uint64_t core = 0x6030000000100000;
constexpr std::uint64_t x0 = core;
constexpr std::uint64_t program_counter = core + 32 * sizeof(std::uint64_t) / 4; // x0 ... x30, sp
constexpr std::uint64_t pstate = core + 33 * sizeof(std::uint64_t) / 4;

constexpr std::uint64_t masked_el1h = 0x3c5; // D, A, I and F set, EL1 with its own stack pointer.

} // namespace

std::array<register_value, 3> registers(const entry& how) noexcept {
  return {{{pstate, masked_el1h}, {program_counter, how.instruction}, {x0, how.device_tree}}};
}

} // namespace troupe::aarch64
