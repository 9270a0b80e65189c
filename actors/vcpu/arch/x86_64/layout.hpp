#pragma once

#include "actors/vcpu/memory/address_range.hpp"
#include "messages/vocabulary/units.hpp"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

/// Where everything is in the guest-physical memory of an x86_64 machine. docs/memory_layout.md is
/// the same as a table; a test compares the two.
namespace troupe::x86_64::layout {

// -- what we write below 1 MiB before the first instruction ---

inline constexpr gpa gdt = 0x500;
inline constexpr gpa idt = 0x520;
/// hvm_start_info, its one module entry and its memory map share a page.
inline constexpr gpa pvh_start_info = 0x6000;
inline constexpr gpa pvh_modules = 0x6040;
inline constexpr gpa pvh_memory_map = 0x6100;
/// Linux's boot_params.
inline constexpr gpa zero_page = 0x7000;
/// The first stack grows down from here.
inline constexpr gpa stack_top = 0x8ff0;
/// PML4, PDPT and four page directories: the first 4 GiB, in pages of 2 MiB.
inline constexpr gpa page_tables = 0x9000;
inline constexpr gpa page_tables_end = 0xf000;
inline constexpr gpa command_line = 0x20000;
/// With the NUL at its end; Linux's own limit (COMMAND_LINE_SIZE).
inline constexpr byte_count command_line_size = 2048;
/// Where RAM that the guest may use freely ends first; firmware owns the rest up to 1 MiB.
inline constexpr gpa low_ram_end = 0x9fc00;
/// The RSDP is at the start, where a guest that is not told the address looks for it.
inline constexpr gpa acpi = 0xe0000;
/// The MP floating pointer is at the start, for the same reason.
inline constexpr gpa mp_table = 0xf0000;
/// Kernels and everything else of the guest start here.
inline constexpr gpa high_ram = 0x100000;

// -- the hole below 4 GiB: registers instead of RAM ---

inline constexpr gpa hole = gib(3);
/// One page whose writes are time stamps: how far a guest has come.
inline constexpr gpa boot_timer = 0xc0000000;
/// One register window a virtio device, whether there is one at boot or later.
inline constexpr gpa virtio_mmio = 0xd0000000;
inline constexpr byte_count virtio_mmio_stride = 0x1000;
/// More would not find room in the ACPI area.
inline constexpr std::uint32_t virtio_mmio_slots = 256;
/// Registers for later hot-plug of memory and processors through ACPI.
inline constexpr gpa hotplug = 0xd0200000;
inline constexpr byte_count hotplug_size = 0x10000;
inline constexpr gpa ioapic = 0xfec00000;
inline constexpr gpa lapic = 0xfee00000;
/// KVM's own pages on Intel: set by KVM_SET_TSS_ADDR, and where KVM has the other by itself.
inline constexpr gpa tss = 0xfefbd000;
inline constexpr byte_count tss_size = 0x3000;
inline constexpr gpa identity_map = 0xfffbc000;
inline constexpr gpa hole_end = gib(4);

/// RAM that is plugged in later starts at a multiple of this behind the last byte of RAM; Linux
/// wants 128 MiB, 2 GiB on machines of 64 GiB and more.
inline constexpr byte_count hotplug_ram_alignment = gib(2);

// -- interrupt lines: inputs of the IOAPIC ---

/// KVM's default routing; the line of the PIT is pin 0 as long as nobody changes the routes.
inline constexpr std::uint32_t pit_gsi = 0;
inline constexpr std::uint32_t keyboard_gsi = 1;
inline constexpr std::uint32_t serial_gsi = 4;
/// Devices take turns: with more devices than lines, some share one.
inline constexpr std::uint32_t virtio_gsi_first = 5;
inline constexpr std::uint32_t virtio_gsi_last = 22;
/// Kept for the ACPI event device of later hot-plug.
inline constexpr std::uint32_t event_gsi = 23;
inline constexpr std::uint32_t ioapic_pins = 24;

// -- I/O ports ---

inline constexpr std::uint16_t keyboard_data_port = 0x60;
inline constexpr std::uint16_t keyboard_command_port = 0x64;
/// Written to keyboard_command_port: reset the machine.
inline constexpr std::uint8_t keyboard_reset = 0xfe;
inline constexpr std::uint16_t clock_port = 0x70;
inline constexpr std::uint16_t clock_port_count = 2;
inline constexpr std::uint16_t serial_port = 0x3f8;
inline constexpr std::uint16_t serial_port_count = 8;
inline constexpr std::uint16_t panic_port = 0x505;
/// ACPI's sleep control and status registers, one byte each. `power_off` ends the machine.
inline constexpr std::uint16_t sleep_control_port = 0x600;
inline constexpr std::uint16_t sleep_status_port = 0x601;
/// What the guest's \_S5 names, and the byte that it then writes: SLP_TYP << 2 | SLP_EN.
inline constexpr std::uint8_t sleep_type_off = 5;
inline constexpr std::uint8_t power_off = sleep_type_off << 2 | 1 << 5;

/// APIC ids are 8 bits, 255 means all of them, and one is the IOAPIC's.
inline constexpr std::uint32_t max_vcpus = 254;

/// The window of device `slot`, counted from 0. @pre slot < virtio_mmio_slots.
[[nodiscard]] constexpr memory::device_window virtio_slot(std::uint32_t slot) noexcept {
  constexpr auto lines = virtio_gsi_last - virtio_gsi_first + 1;
  return {{virtio_mmio + slot * virtio_mmio_stride, virtio_mmio_stride},
          virtio_gsi_first + slot % lines};
}

/// Which addresses are RAM, in order, for a machine of `size` bytes: one range up to the hole, the
/// rest behind it. What memory::guest_memory is to be made of.
[[nodiscard]] std::vector<memory::address_range> ram(byte_count size);

/// Where RAM plugged in later begins.
[[nodiscard]] gpa hotplug_ram(byte_count size);

// -- the same once more, to be listed ---

struct named_range {
  std::string_view name;
  memory::address_range range;
};

/// Every fixed range, ascending and disjoint.
inline constexpr std::array<named_range, 19> ranges{{
    {"gdt", {gdt, idt - gdt}},
    {"idt", {idt, 8}},
    {"pvh_start_info", {pvh_start_info, pvh_modules - pvh_start_info}},
    {"pvh_modules", {pvh_modules, 0x20}},
    {"pvh_memory_map", {pvh_memory_map, zero_page - pvh_memory_map}},
    {"zero_page", {zero_page, 0x1000}},
    {"stack", {0x8000, stack_top - 0x8000}},
    {"page_tables", {page_tables, page_tables_end - page_tables}},
    {"command_line", {command_line, command_line_size}},
    {"acpi", {acpi, mp_table - acpi}},
    {"mp_table", {mp_table, high_ram - mp_table}},
    {"high_ram", {high_ram, hole - high_ram}},
    {"boot_timer", {boot_timer, 0x1000}},
    {"virtio_mmio", {virtio_mmio, virtio_mmio_slots* virtio_mmio_stride}},
    {"hotplug", {hotplug, hotplug_size}},
    {"ioapic", {ioapic, 0x1000}},
    {"lapic", {lapic, 0x1000}},
    {"tss", {tss, tss_size}},
    {"identity_map", {identity_map, 0x1000}},
}};

struct named_number {
  std::string_view name;
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};

inline constexpr std::array<named_number, 5> lines{{
    {"pit_gsi", pit_gsi, pit_gsi},
    {"keyboard_gsi", keyboard_gsi, keyboard_gsi},
    {"serial_gsi", serial_gsi, serial_gsi},
    {"virtio_gsi", virtio_gsi_first, virtio_gsi_last},
    {"event_gsi", event_gsi, event_gsi},
}};

inline constexpr std::array<named_number, 7> ports{{
    {"keyboard_data_port", keyboard_data_port, keyboard_data_port},
    {"keyboard_command_port", keyboard_command_port, keyboard_command_port},
    {"clock_port", clock_port, clock_port + clock_port_count - 1},
    {"serial_port", serial_port, serial_port + serial_port_count - 1},
    {"panic_port", panic_port, panic_port},
    {"sleep_control_port", sleep_control_port, sleep_control_port},
    {"sleep_status_port", sleep_status_port, sleep_status_port},
}};

} // namespace troupe::x86_64::layout
