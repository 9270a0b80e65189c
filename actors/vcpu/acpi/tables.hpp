#pragma once

#include "actors/vcpu/memory/address_range.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// The tables by which an x86_64 guest finds its processors and devices: RSDP, XSDT, FADT, MADT,
/// DSDT. Source: ACPI 6.5, chapter 5. The machine is "hardware-reduced": no PIC, PIT, CMOS or fixed
/// registers are promised, only what the tables name.
namespace troupe::acpi {

/// What of a PC there is. A guest touches nothing that the tables do not name.
struct legacy_devices {
  /// COM1, at layout::serial_port.
  bool serial = true;
  /// A PS/2 controller, at layout::keyboard_data_port. With it the guest can reset the machine.
  bool keyboard = true;
  /// A CMOS clock, at layout::clock_port. It raises no interrupt.
  bool clock = false;
  /// How a guest's kernel tells that it panicked, at layout::panic_port.
  bool panic = false;
};

/// What the tables tell about.
struct machine {
  /// Processors that run from the start. APIC ids are 0, 1, 2 ...
  std::uint32_t boot_vcpus = 1;
  /// Processors that can ever run; the further ones are "online capable".
  std::uint32_t max_vcpus = 1;
  /// Virtio devices, and windows where one may appear later.
  std::span<const memory::device_window> devices;
  legacy_devices legacy;
};

/// Bytes for layout::acpi, the RSDP first, and how many of them there are.
///
/// invalid_argument: no processors, more than layout::max_vcpus, a device window that does not end
/// below 4 GiB. resource_exhausted: more devices than fit into the area.
[[nodiscard]] outcome<std::vector<std::byte>> build(const machine& what);

/// The parts of it, each with its checksum, for tests and tools. @pre build() would take `what`.
[[nodiscard]] std::vector<std::byte> rsdp(gpa xsdt);
[[nodiscard]] std::vector<std::byte> xsdt(std::span<const gpa> tables);
[[nodiscard]] std::vector<std::byte> fadt(const machine& what, gpa dsdt);
[[nodiscard]] std::vector<std::byte> madt(const machine& what);
[[nodiscard]] std::vector<std::byte> dsdt(const machine& what);

} // namespace troupe::acpi
