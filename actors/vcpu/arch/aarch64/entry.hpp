#pragma once

#include "messages/vocabulary/units.hpp"

#include <array>
#include <cstdint>

/// What an aarch64 processor holds before its first instruction. Source: Linux
/// Documentation/arm64/booting.rst.
namespace troupe::aarch64 {

/// The first instruction of the first processor; the others sleep until PSCI wakes them.
struct entry {
  gpa instruction = 0;
  gpa device_tree = 0;
  friend bool operator==(const entry&, const entry&) = default;
};

/// One KVM_SET_ONE_REG. Numbers and not the structs of <linux/kvm.h>, whose ARM half an x86 host
/// does not have.
struct register_value {
  std::uint64_t id = 0;
  std::uint64_t value = 0;
  friend bool operator==(const register_value&, const register_value&) = default;
};

/// PSTATE (EL1h, all interrupts masked), x0 (the device tree) and PC.
[[nodiscard]] std::array<register_value, 3> registers(const entry& how) noexcept;

} // namespace troupe::aarch64
