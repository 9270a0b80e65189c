#pragma once

#include "actors/vcpu/kvm/binding.hpp"
#include "actors/vcpu/kvm/routing_table.hpp"
#include "actors/vcpu/kvm/slot_table.hpp"
#include "actors/vcpu/kvm/system.hpp"
#include "actors/vcpu/kvm/vcpu.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"

#include <map>
#include <memory>

namespace troupe::kvm {

/// Three pages below 4 GiB that KVM wants for itself on Intel processors.
inline constexpr gpa default_tss_address = 0xfefbd000;

/// One virtual machine: its memory slots, interrupt controller and processors.
///
/// Ownership is a chain that makes the order of teardown: processor handles and bindings keep the
/// machine, the machine keeps the memory behind its slots. It ends with its last handle. That takes
/// the kernel some 16 ms when the machine is young, so drop the last one where nobody waits.
///
/// Thread rule: one caller at a time; the const functions but routes() from any thread. Failures
/// are host_io and name the call unless said otherwise.
class vm : public std::enable_shared_from_this<vm> {
public:
  [[nodiscard]] static outcome<std::shared_ptr<vm>> create(const system& host);

  vm(const vm&) = delete;
  vm& operator=(const vm&) = delete;

  // -- memory, before the interrupt controller

  /// A slot for each piece of `memory`, which lives on as long as the machine.
  /// failed_precondition: there is an interrupt controller already; every further slot would wait
  /// 8 ms for the kernel's readers. Else as slot_table::add().
  [[nodiscard]] outcome<void> add_memory(std::shared_ptr<const memory::guest_memory> memory);
  /// Another slot (a device's window), whose memory `keeper` keeps. Answers its number.
  [[nodiscard]] outcome<std::uint32_t> add_slot(const memory::host_slot& slot,
                                                std::shared_ptr<const void> keeper);
  /// The same at any time, at the price of that wait.
  [[nodiscard]] outcome<std::uint32_t> add_slot_late(const memory::host_slot& slot,
                                                     std::shared_ptr<const void> keeper);
  /// Takes a slot away, then lets go of its memory. The guest sees no memory there any more.
  [[nodiscard]] outcome<void> remove_slot(std::uint32_t id);

  // -- interrupts

  [[nodiscard]] outcome<void> set_tss_address(gpa at);
  /// PIC, I/O APIC and a local APIC per processor, all in the kernel. failed_precondition: there
  /// are no memory slots yet, or processors already (KVM refuses), or it exists.
  [[nodiscard]] outcome<void> create_irqchip();
  /// Sets an input line of the interrupt controller. Any thread.
  [[nodiscard]] outcome<void> set_irq_line(std::uint32_t gsi, bool high) const;
  /// Delivers a message once. Any thread. failed_precondition: the guest blocks it.
  [[nodiscard]] outcome<void> signal_msi(const msi& message) const;
  /// The table in force; for a copy to change.
  [[nodiscard]] const routing_table& routes() const noexcept { return routes_; }
  /// Replaces the kernel's whole table. On failure the old one stays in force.
  [[nodiscard]] outcome<void> set_routes(routing_table routes);

  /// From now on writes to `bell` signal `event`. Any thread.
  [[nodiscard]] outcome<binding> bind_doorbell(const doorbell& bell, shared_event event) const;
  /// From now on `event` raises line `gsi`: an edge, or with `resample` a level that stays until
  /// the guest acknowledges it, which `resample` tells. Any thread.
  [[nodiscard]] outcome<binding> bind_irq(std::uint32_t gsi, shared_event event,
                                          shared_event resample = {}) const;

  // -- processors, after the interrupt controller

  /// `id` is also its local APIC's. already_exists: taken; ids cannot be given back, so a processor
  /// that was unplugged is kept, see find_vcpu().
  [[nodiscard]] outcome<std::shared_ptr<vcpu>> create_vcpu(std::uint32_t id);
  /// Empty when there is none.
  [[nodiscard]] std::shared_ptr<vcpu> find_vcpu(std::uint32_t id);

  // -- the rest

  [[nodiscard]] int check_extension(int capability) const noexcept;
  [[nodiscard]] outcome<void> enable_capability(int capability, std::uint64_t argument = 0) const;
  /// For ioctls of other kinds; never to be closed.
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }

private:
  vm(unique_fd fd, std::size_t run_size, std::uint32_t slots)
      : fd_(std::move(fd)), run_size_(run_size), slots_(slots) {}

  // Destroyed from below: processors, then the machine, then the memory under it.
  std::map<std::uint32_t, std::shared_ptr<const void>> keepers_;
  unique_fd fd_;
  std::size_t run_size_;
  slot_table slots_;
  routing_table routes_;
  bool irqchip_ = false;
  std::map<std::uint32_t, std::unique_ptr<vcpu>> vcpus_;
};

} // namespace troupe::kvm
