#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <linux/kvm.h>

#include <cstdint>
#include <vector>

namespace troupe::kvm {

/// KVM's largest interrupt number, plus one.
inline constexpr std::uint32_t max_gsi = 4096;
/// Lines of the I/O APIC and of the two PICs in the kernel.
inline constexpr std::uint32_t ioapic_lines = 24;
inline constexpr std::uint32_t pic_lines = 16;

/// A message-signalled interrupt: a write of `data` to `address` as a device would do it.
struct msi {
  std::uint64_t address = 0;
  std::uint32_t data = 0;
};

/// Which interrupt line (GSI) leads where. The kernel only ever replaces its whole table, so there
/// is one owner of one of these; take a copy, change it, hand it to vm::set_routes().
class routing_table {
public:
  /// What the kernel begins with: lines 0 ... 15 to PIC and I/O APIC, 16 ... 23 to the I/O APIC.
  [[nodiscard]] static routing_table defaults();

  /// Leads a line to one pin of the I/O APIC only. invalid_argument: no such line or pin.
  [[nodiscard]] outcome<void> set_ioapic(std::uint32_t gsi, std::uint32_t pin);
  /// Turns a line into a message. invalid_argument: no such line.
  [[nodiscard]] outcome<void> set_msi(std::uint32_t gsi, const msi& message);
  /// Leads it nowhere.
  void clear(std::uint32_t gsi) noexcept;

  /// As the kernel wants them, lowest line first.
  [[nodiscard]] const std::vector<kvm_irq_routing_entry>& entries() const noexcept {
    return entries_;
  }

private:
  void lead(const kvm_irq_routing_entry& only);

  std::vector<kvm_irq_routing_entry> entries_;
};

} // namespace troupe::kvm
