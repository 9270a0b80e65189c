#pragma once

#include "actors/devices/bus/address_space.hpp"
#include "actors/devices/bus/irq_line.hpp"
#include "actors/devices/transport/mmio/machine_port.hpp"
#include "actors/vcpu/kvm/vm.hpp"
#include "actors/vcpu/machine/ending.hpp"
#include "actors/vcpu/run/exits.hpp"

#include <memory>

/// What joins the machine's parts, each of which knows nothing of the others.
namespace troupe::vcpu {

/// An interrupt of the kernel's controller as an edge that anyone may raise. Keeps the machine.
[[nodiscard]] outcome<std::unique_ptr<bus::irq_line>> make_line(const kvm::vm& machine,
                                                                std::uint32_t gsi);

/// A doorbell of the kernel's; its destruction takes it back. Keeps the machine.
[[nodiscard]] outcome<std::unique_ptr<mmio::connection>>
make_doorbell(const kvm::vm& machine, gpa at, std::uint32_t queue, mmio::shared_event event);

/// The two buses as a processor sees them; it stops once the machine is over.
class bus_handler final : public io_handler {
public:
  /// All three outlive the processors.
  bus_handler(bus::address_space& pio, bus::address_space& mmio, const end_record& end)
      : pio_(pio), mmio_(mmio), end_(end) {}

  void port_read(std::uint16_t port, std::span<std::byte> data) override { pio_.read(port, data); }
  [[nodiscard]] after_write port_write(std::uint16_t port,
                                       std::span<const std::byte> data) override {
    pio_.write(port, data);
    return next();
  }
  void memory_read(gpa at, std::span<std::byte> data) override { mmio_.read(at, data); }
  [[nodiscard]] after_write memory_write(gpa at, std::span<const std::byte> data) override {
    mmio_.write(at, data);
    return next();
  }

private:
  [[nodiscard]] after_write next() const noexcept {
    return end_.over() ? after_write::stop : after_write::go_on;
  }

  bus::address_space& pio_;
  bus::address_space& mmio_;
  const end_record& end_;
};

} // namespace troupe::vcpu
