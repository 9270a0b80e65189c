#include "actors/vcpu/boot/mp_table.hpp"

#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "actors/vcpu/memory/byte_writer.hpp"

namespace troupe::boot {
namespace {

namespace layout = x86_64::layout;
using memory::byte_writer;

constexpr std::uint8_t revision = 4; // 1.4
constexpr std::uint32_t pointer_size = 16;
constexpr std::uint8_t isa_bus = 0;
constexpr std::uint8_t every_apic = 0xff;

std::vector<std::byte> pointer() {
  byte_writer out;
  out.text("_MP_").u32(static_cast<std::uint32_t>(layout::mp_table) + pointer_size);
  out.u8(pointer_size / 16).u8(revision).u8(0).zeros(5);
  constexpr std::size_t at_checksum = 10;
  out.patch_u8(at_checksum, memory::checksum(out.bytes()));
  return out.take();
}

void put_processor(byte_writer& out, std::uint32_t id, bool enabled) {
  constexpr std::uint8_t apic_version = 0x14;
  constexpr std::uint32_t signature = 0x600; // Any processor since the Pentium Pro.
  constexpr std::uint32_t has_apic_and_fpu = 0x201;
  const auto flags = static_cast<std::uint8_t>((enabled ? 1 : 0) | (id == 0 ? 2 : 0));
  out.u8(0).u8(static_cast<std::uint8_t>(id)).u8(apic_version).u8(flags);
  out.u32(signature).u32(has_apic_and_fpu).zeros(8);
}

// kind: 0 a line, 1 NMI, 3 the PIC. Trigger and polarity are as the bus has them: edge, high.
void put_interrupt(byte_writer& out, std::uint8_t kind, std::uint8_t line, std::uint8_t apic) {
  out.u8(3).u8(kind).u16(0).u8(isa_bus).u8(line).u8(apic).u8(line);
}

void put_local_interrupt(byte_writer& out, std::uint8_t kind, std::uint8_t apic,
                         std::uint8_t input) {
  out.u8(4).u8(kind).u16(0).u8(isa_bus).u8(0).u8(apic).u8(input);
}

} // namespace

outcome<std::vector<std::byte>> mp_table(std::uint32_t boot_vcpus, std::uint32_t max_vcpus) {
  if (boot_vcpus == 0 || boot_vcpus > max_vcpus || max_vcpus > layout::max_vcpus)
    return fail(errc::invalid_argument, "mp table: {} of {} processors, at most {}", boot_vcpus,
                max_vcpus, layout::max_vcpus);
  byte_writer table;
  table.text("PCMP").u16(0).u8(revision).u8(0).text("TROUPE  ").text("TROUPEVM    ");
  table.u32(0).u16(0).u16(0).u32(static_cast<std::uint32_t>(layout::lapic)).u32(0);
  for (std::uint32_t id = 0; id < max_vcpus; ++id)
    put_processor(table, id, id < boot_vcpus);
  table.u8(1).u8(isa_bus).text("ISA   ");
  const auto ioapic_id = static_cast<std::uint8_t>(max_vcpus);
  constexpr std::uint8_t ioapic_version = 0x11;
  table.u8(2).u8(ioapic_id).u8(ioapic_version).u8(1);
  table.u32(static_cast<std::uint32_t>(layout::ioapic));
  for (std::uint8_t line = 0; line < layout::ioapic_pins; ++line)
    put_interrupt(table, 0, line, ioapic_id);
  put_local_interrupt(table, 3, 0, 0);          // LINT0 of the first processor: the PIC.
  put_local_interrupt(table, 1, every_apic, 1); // LINT1 of all: NMI.
  const auto entries = max_vcpus + 1 + 1 + layout::ioapic_pins + 2;
  constexpr std::size_t at_length = 4;
  constexpr std::size_t at_checksum = 7;
  constexpr std::size_t at_entries = 34;
  table.patch_u16(at_length, static_cast<std::uint16_t>(table.size()));
  table.patch_u16(at_entries, static_cast<std::uint16_t>(entries));
  table.patch_u8(at_checksum, memory::checksum(table.bytes()));
  return byte_writer{}.append(pointer()).append(table.bytes()).take();
}

} // namespace troupe::boot
