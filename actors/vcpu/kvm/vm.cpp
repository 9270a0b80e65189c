#include "actors/vcpu/kvm/vm.hpp"

#include "actors/vcpu/kvm/abi.hpp"
#include "actors/vcpu/kvm/call.hpp"

#include <algorithm>

namespace troupe::kvm {
namespace {

// Of kernels that do not say.
constexpr int fallback_slots = 32;

outcome<void> set_region(int vm, std::uint32_t id, const memory::host_slot& slot) {
  const kvm_userspace_memory_region region{id, 0, slot.base, slot.size, slot.host};
  return put([&] { return fmt::format("KVM_SET_USER_MEMORY_REGION {:#x}", slot.base); }, vm,
             KVM_SET_USER_MEMORY_REGION, region);
}

} // namespace

outcome<std::shared_ptr<vm>> vm::create(const system& host) {
  auto fd = TRY(host.create_vm());
  const int slots = host.check_extension(KVM_CAP_NR_MEMSLOTS);
  return std::shared_ptr<vm>{
      new vm{std::move(fd), host.run_size(),
             static_cast<std::uint32_t>(slots > 0 ? slots : fallback_slots)}};
}

outcome<void> vm::add_memory(std::shared_ptr<const memory::guest_memory> memory) {
  for (const auto& it : TRY(memory::host_slots(*memory)))
    TRY(add_slot(it, memory));
  return {};
}

outcome<std::uint32_t> vm::add_slot(const memory::host_slot& slot,
                                    std::shared_ptr<const void> keeper) {
  if (irqchip_)
    return fail(errc::failed_precondition,
                "memory slot {:#x}: slots are set before the interrupt controller is made",
                slot.base);
  return add_slot_late(slot, std::move(keeper));
}

outcome<std::uint32_t> vm::add_slot_late(const memory::host_slot& slot,
                                         std::shared_ptr<const void> keeper) {
  const auto id = TRY(slots_.add(slot));
  if (auto set = set_region(fd_.get(), id, slot); !set) {
    (void)slots_.remove(id);
    return tl::unexpected(std::move(set).error());
  }
  keepers_[id] = std::move(keeper);
  return id;
}

outcome<void> vm::remove_slot(std::uint32_t id) {
  auto slot = TRY(slots_.remove(id));
  slot.size = 0; // Which is how KVM spells "delete".
  TRY(set_region(fd_.get(), id, slot));
  keepers_.erase(id);
  return {};
}

outcome<void> vm::set_tss_address(gpa at) {
  TRY(call("KVM_SET_TSS_ADDR", fd_.get(), KVM_SET_TSS_ADDR, at));
  return {};
}

outcome<void> vm::create_irqchip() {
  if (irqchip_)
    return fail(errc::failed_precondition, "interrupt controller: there is one");
  if (slots_.empty())
    return fail(errc::failed_precondition, "interrupt controller: memory slots are set first");
  if (!vcpus_.empty())
    return fail(errc::failed_precondition,
                "interrupt controller: there are processors, which come after it");
  TRY(call("KVM_CREATE_IRQCHIP", fd_.get(), KVM_CREATE_IRQCHIP, 0));
  irqchip_ = true;
  routes_ = routing_table::defaults();
  return {};
}

outcome<void> vm::set_irq_line(std::uint32_t gsi, bool high) const {
  kvm_irq_level level{};
  level.irq = gsi;
  level.level = high ? 1 : 0;
  return put("KVM_IRQ_LINE", fd_.get(), KVM_IRQ_LINE, level);
}

outcome<void> vm::signal_msi(const msi& message) const {
  kvm_msi it{};
  it.address_lo = static_cast<std::uint32_t>(message.address);
  it.address_hi = static_cast<std::uint32_t>(message.address >> 32);
  it.data = message.data;
  if (TRY(call("KVM_SIGNAL_MSI", fd_.get(), KVM_SIGNAL_MSI, &it)) == 0)
    return fail(errc::failed_precondition, "MSI {:#x}: the guest blocks it", message.address);
  return {};
}

outcome<void> vm::set_routes(routing_table routes) {
  abi::counted<abi::counted_head, kvm_irq_routing_entry> list{
      std::span<const kvm_irq_routing_entry>{routes.entries()}};
  TRY(call("KVM_SET_GSI_ROUTING", fd_.get(), abi::set_gsi_routing, list.data()));
  routes_ = std::move(routes);
  return {};
}

outcome<binding> vm::bind_doorbell(const doorbell& bell, shared_event event) const {
  kvm_ioeventfd it{};
  it.addr = bell.at;
  it.len = bell.length;
  it.fd = event->get();
  it.datamatch = bell.value.value_or(0);
  if (bell.value)
    it.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
  if (bell.where == doorbell::space::port)
    it.flags |= KVM_IOEVENTFD_FLAG_PIO;
  return binding::make(shared_from_this(), it, std::move(event));
}

outcome<binding> vm::bind_irq(std::uint32_t gsi, shared_event event, shared_event resample) const {
  kvm_irqfd it{};
  it.fd = static_cast<std::uint32_t>(event->get());
  it.gsi = gsi;
  if (resample) {
    it.flags = KVM_IRQFD_FLAG_RESAMPLE;
    it.resamplefd = static_cast<std::uint32_t>(resample->get());
  }
  return binding::make(shared_from_this(), it, std::move(event), std::move(resample));
}

outcome<std::shared_ptr<vcpu>> vm::create_vcpu(std::uint32_t id) {
  if (vcpus_.contains(id))
    return fail(errc::already_exists, "vcpu{}: KVM never gives a number back", id);
  unique_fd fd{TRY(call("KVM_CREATE_VCPU", fd_.get(), KVM_CREATE_VCPU, std::uint64_t{id}))};
  auto page = TRY(run_page::map(fd.get(), run_size_));
  const auto xsave = std::max<std::size_t>(
      sizeof(abi::xsave_head), static_cast<std::size_t>(check_extension(KVM_CAP_XSAVE2)));
  vcpus_.emplace(id, std::make_unique<vcpu>(id, std::move(fd), std::move(page), xsave));
  return find_vcpu(id);
}

std::shared_ptr<vcpu> vm::find_vcpu(std::uint32_t id) {
  const auto it = vcpus_.find(id);
  if (it == vcpus_.end())
    return {};
  return {shared_from_this(), it->second.get()};
}

int vm::check_extension(int capability) const noexcept {
  return std::max(0, ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, capability));
}

outcome<void> vm::enable_capability(int capability, std::uint64_t argument) const {
  kvm_enable_cap it{};
  it.cap = static_cast<std::uint32_t>(capability);
  it.args[0] = argument;
  return put([&] { return fmt::format("KVM_ENABLE_CAP {}", capability); }, fd_.get(),
             KVM_ENABLE_CAP, it);
}

} // namespace troupe::kvm
