#include "actors/vcpu/kvm/routing_table.hpp"

#include <algorithm>

namespace troupe::kvm {
namespace {

constexpr std::uint32_t pins_of_one_pic = 8;

kvm_irq_routing_entry to_pin(std::uint32_t gsi, std::uint32_t chip, std::uint32_t pin) {
  kvm_irq_routing_entry it{};
  it.gsi = gsi;
  it.type = KVM_IRQ_ROUTING_IRQCHIP;
  it.u.irqchip = {chip, pin};
  return it;
}

outcome<void> check(std::uint32_t gsi) {
  if (gsi >= max_gsi)
    return fail(errc::invalid_argument, "interrupt line: {} is not 0 ... {}", gsi, max_gsi - 1);
  return {};
}

} // namespace

routing_table routing_table::defaults() {
  routing_table table;
  table.entries_.reserve(ioapic_lines + pic_lines);
  for (std::uint32_t gsi = 0; gsi < ioapic_lines; ++gsi) {
    table.entries_.push_back(to_pin(gsi, KVM_IRQCHIP_IOAPIC, gsi));
    if (gsi < pic_lines)
      table.entries_.push_back(
          to_pin(gsi, gsi < pins_of_one_pic ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                 gsi % pins_of_one_pic));
  }
  return table;
}

void routing_table::clear(std::uint32_t gsi) noexcept {
  std::erase_if(entries_, [gsi](const auto& it) { return it.gsi == gsi; });
}

void routing_table::lead(const kvm_irq_routing_entry& only) {
  clear(only.gsi);
  entries_.insert(std::ranges::upper_bound(entries_, only.gsi, {}, &kvm_irq_routing_entry::gsi),
                  only);
}

outcome<void> routing_table::set_ioapic(std::uint32_t gsi, std::uint32_t pin) {
  TRY(check(gsi));
  if (pin >= ioapic_lines)
    return fail(errc::invalid_argument, "interrupt line {}: pin {} is not 0 ... {}", gsi, pin,
                ioapic_lines - 1);
  lead(to_pin(gsi, KVM_IRQCHIP_IOAPIC, pin));
  return {};
}

outcome<void> routing_table::set_msi(std::uint32_t gsi, const msi& message) {
  TRY(check(gsi));
  kvm_irq_routing_entry it{};
  it.gsi = gsi;
  it.type = KVM_IRQ_ROUTING_MSI;
  it.u.msi.address_lo = static_cast<std::uint32_t>(message.address);
  it.u.msi.address_hi = static_cast<std::uint32_t>(message.address >> 32);
  it.u.msi.data = message.data;
  lead(it);
  return {};
}

} // namespace troupe::kvm
