#include "actors/vcpu/acpi/tables.hpp"

#include "actors/vcpu/acpi/table.hpp"
#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "actors/vcpu/memory/byte_writer.hpp"

#include <algorithm>
#include <array>

namespace troupe::acpi {
namespace {

using memory::byte_writer;
namespace layout = x86_64::layout;

constexpr std::string_view oem_id = "TROUPE";         // 6 bytes
constexpr std::string_view oem_table_id = "TROUPEVM"; // 8 bytes
constexpr std::string_view creator_id = "TRPE";       // 4 bytes
constexpr std::size_t at_length = 4;
constexpr std::size_t at_checksum = 9;
constexpr byte_count alignment = 64;

// Generic Address Structure: one byte-wide I/O port.
void put_port(byte_writer& out, std::uint16_t port) {
  constexpr std::uint8_t io_space = 1;
  constexpr std::uint8_t byte_access = 1;
  out.u8(io_space).u8(8).u8(0).u8(byte_access).u64(port);
}

outcome<void> check(const machine& what) {
  if (what.boot_vcpus == 0 || what.max_vcpus < what.boot_vcpus ||
      what.max_vcpus > layout::max_vcpus)
    return fail(errc::invalid_argument, "acpi: {} of {} processors, at most {}", what.boot_vcpus,
                what.max_vcpus, layout::max_vcpus);
  if (what.devices.size() > layout::virtio_mmio_slots)
    return fail(errc::resource_exhausted, "acpi: {} devices, at most {}", what.devices.size(),
                layout::virtio_mmio_slots);
  constexpr memory::address_range addressable{0, layout::hole_end};
  for (const auto& it : what.devices)
    if (!addressable.contains(it.registers.start, it.registers.size))
      return fail(errc::invalid_argument, "acpi: device registers at {:#x} end above 4 GiB",
                  it.registers.start);
  return {};
}

} // namespace

byte_writer begin_table(std::string_view signature, std::uint8_t revision) {
  byte_writer out;
  out.text(signature).u32(0).u8(revision).u8(0).text(oem_id).text(oem_table_id);
  return out.u32(1).text(creator_id).u32(1);
}

std::vector<std::byte> finish_table(byte_writer table) {
  table.patch_u32(at_length, static_cast<std::uint32_t>(table.size()));
  table.patch_u8(at_checksum, memory::checksum(table.bytes()));
  return table.take();
}

std::vector<std::byte> rsdp(gpa xsdt) {
  constexpr std::size_t first_part = 20;
  constexpr std::size_t at_first_checksum = 8;
  constexpr std::size_t at_second_checksum = 32;
  byte_writer out;
  out.text("RSD PTR ").u8(0).text(oem_id).u8(2).u32(0); // Revision 2, no RSDT.
  out.u32(36).u64(xsdt).u8(0).zeros(3);
  const auto first = std::span{out.bytes()}.first(first_part);
  out.patch_u8(at_first_checksum, memory::checksum(first));
  out.patch_u8(at_second_checksum, memory::checksum(out.bytes()));
  return out.take();
}

std::vector<std::byte> xsdt(std::span<const gpa> tables) {
  auto out = begin_table("XSDT", 1);
  for (const auto it : tables)
    out.u64(it);
  return finish_table(std::move(out));
}

std::vector<std::byte> fadt(const machine& what, gpa dsdt) {
  constexpr std::uint32_t no_power_button = 1 << 4;
  constexpr std::uint32_t no_sleep_button = 1 << 5;
  constexpr std::uint32_t reset_register = 1 << 10;
  constexpr std::uint32_t hardware_reduced = 1 << 20;
  constexpr std::uint16_t legacy_devices = 1 << 0;
  constexpr std::uint16_t keyboard_controller = 1 << 1;
  constexpr std::uint16_t no_vga = 1 << 2;
  constexpr std::uint16_t no_cmos_clock = 1 << 5;
  // From 6.3 on, Linux believes the "online capable" mark of a processor.
  constexpr std::uint8_t major = 6;
  constexpr std::uint8_t minor = 5;
  const auto boot_flags = no_vga | (what.legacy.clock ? 0 : no_cmos_clock) |
                          (what.legacy.serial ? legacy_devices : 0) |
                          (what.legacy.keyboard ? legacy_devices | keyboard_controller : 0);
  auto out = begin_table("FACP", major);
  out.zeros(73).u16(static_cast<std::uint16_t>(boot_flags)).u8(0); // Up to offset 112.
  out.u32(no_power_button | no_sleep_button | hardware_reduced |
          (what.legacy.keyboard ? reset_register : 0));
  if (what.legacy.keyboard)
    put_port(out, layout::keyboard_command_port);
  else
    out.zeros(12);
  out.u8(what.legacy.keyboard ? layout::keyboard_reset : 0).u16(0).u8(minor);
  out.u64(0).u64(dsdt).zeros(96); // No FACS; X_DSDT; no fixed registers up to offset 244.
  put_port(out, layout::sleep_control_port);
  put_port(out, layout::sleep_status_port);
  out.text("TROUPEVM"); // Hypervisor vendor identity.
  return finish_table(std::move(out));
}

std::vector<std::byte> madt(const machine& what) {
  constexpr std::uint32_t enabled = 1;
  constexpr std::uint32_t online_capable = 2;
  constexpr std::uint16_t edge_active_high = 0x5;
  auto out = begin_table("APIC", 6);
  out.u32(static_cast<std::uint32_t>(layout::lapic)).u32(0); // No PIC is promised.
  for (std::uint32_t cpu = 0; cpu < what.max_vcpus; ++cpu) {
    const auto id = static_cast<std::uint8_t>(cpu);
    out.u8(0).u8(8).u8(id).u8(id).u32(cpu < what.boot_vcpus ? enabled : online_capable);
  }
  const auto ioapic_id = static_cast<std::uint8_t>(what.max_vcpus);
  out.u8(1).u8(12).u8(ioapic_id).u8(0).u32(static_cast<std::uint32_t>(layout::ioapic)).u32(0);
  // Without a PIC an ISA line is known to the guest by such an entry only.
  const auto isa_line = [&](std::uint32_t gsi) {
    out.u8(2).u8(10).u8(0).u8(static_cast<std::uint8_t>(gsi)).u32(gsi).u16(edge_active_high);
  };
  if (what.legacy.keyboard)
    isa_line(layout::keyboard_gsi);
  if (what.legacy.serial)
    isa_line(layout::serial_gsi);
  constexpr std::uint8_t every_processor = 0xff;
  out.u8(4).u8(6).u8(every_processor).u16(0).u8(1); // NMI at LINT1.
  return finish_table(std::move(out));
}

outcome<std::vector<std::byte>> build(const machine& what) {
  TRY(check(what));
  byte_writer area;
  const auto place = [&](const std::vector<std::byte>& table) {
    area.zeros(memory::round_up(area.size(), alignment) - area.size());
    const gpa at = layout::acpi + area.size();
    area.append(table);
    return at;
  };
  // The RSDP comes first and knows the address of what comes last.
  place(rsdp(0));
  const auto dsdt_at = place(dsdt(what));
  const std::array<gpa, 2> tables{place(fadt(what, dsdt_at)), place(madt(what))};
  const auto pointer = rsdp(place(xsdt(tables)));
  auto bytes = area.take();
  std::ranges::copy(pointer, bytes.begin());
  constexpr auto room = layout::mp_table - layout::acpi;
  if (bytes.size() > room)
    return fail(errc::resource_exhausted, "acpi: tables of {} bytes, {} are reserved", bytes.size(),
                room);
  return bytes;
}

} // namespace troupe::acpi
