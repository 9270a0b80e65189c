#pragma once

#include "actors/vcpu/memory/slots_raw.hpp"

#include <cstdint>
#include <map>

namespace troupe::kvm {

/// Which memory slots a machine has: KVM's rules, checked with words before the kernel says EINVAL.
class slot_table {
public:
  /// `most` is what the kernel allows (KVM_CAP_NR_MEMSLOTS).
  explicit slot_table(std::uint32_t most) noexcept : most_(most) {}

  /// Checks the slot and gives it the lowest free number. invalid_argument: empty, not in pages,
  /// wrapping or overlapping another; resource_exhausted: no number is free.
  [[nodiscard]] outcome<std::uint32_t> add(const memory::host_slot& slot);
  /// not_found: there is no such slot.
  [[nodiscard]] outcome<memory::host_slot> remove(std::uint32_t id);

  [[nodiscard]] bool empty() const noexcept { return slots_.empty(); }

private:
  std::uint32_t most_;
  std::map<std::uint32_t, memory::host_slot> slots_;
};

} // namespace troupe::kvm
