#include "actors/vcpu/acpi/aml.hpp"
#include "actors/vcpu/acpi/table.hpp"
#include "actors/vcpu/acpi/tables.hpp"
#include "actors/vcpu/arch/x86_64/layout.hpp"

#include <algorithm>
#include <array>

// What the devices are is known while compiling, and their code is made then: when a machine
// starts, bytes are copied and a few numbers filled in.

namespace troupe::acpi {
namespace {

using memory::byte_writer;
namespace layout = x86_64::layout;

// The bytes of the term that `make` gives, without a heap to hold them.
template <auto make>
consteval auto baked() {
  constexpr auto size = [] { return make().size(); }();
  std::array<std::byte, size> out{};
  std::ranges::copy(make(), out.begin());
  return out;
}

constexpr auto power_off = baked<[] {
  const auto off = aml::integer(layout::sleep_type_off);
  const auto none = aml::integer(0);
  return aml::name("_S5", aml::package(off, none, none, none));
}>();

constexpr auto serial_port = baked<[] {
  return aml::device(
      "COM1", aml::name("_HID", aml::eisa_id("PNP0501")), aml::name("_UID", aml::integer(0)),
      aml::name("_CRS", aml::resource_template(
                            aml::io_ports(layout::serial_port, layout::serial_port_count),
                            aml::interrupt(layout::serial_gsi))));
}>();

constexpr auto keyboard = baked<[] {
  return aml::device(
      "PS2", aml::name("_HID", aml::eisa_id("PNP0303")),
      aml::name("_CRS", aml::resource_template(aml::io_ports(layout::keyboard_data_port, 1),
                                               aml::io_ports(layout::keyboard_command_port, 1),
                                               aml::interrupt(layout::keyboard_gsi))));
}>();

constexpr auto cmos_clock = baked<[] {
  return aml::device("RTC", aml::name("_HID", aml::eisa_id("PNP0B00")),
                     aml::name("_CRS", aml::resource_template(aml::io_ports(
                                           layout::clock_port, layout::clock_port_count))));
}>();

constexpr auto panic_port = baked<[] {
  return aml::device(
      "PEVT", aml::name("_HID", aml::text("QEMU0001")),
      aml::name("_CRS", aml::resource_template(aml::io_ports(layout::panic_port, 1))));
}>();

// What a virtio device has for itself. All of it has a fixed size; _UID is the address, which is
// nobody else's.
struct identity {
  std::string_view name; // of four characters
  std::uint32_t registers;
  std::uint32_t size;
  std::uint32_t gsi;
  std::uint8_t sharing;
};
// Stands for all of them in the bytes below.
constexpr identity anyone{"V###", 0xe1e2e3e4, 0xd1d2d3d4, 0xc1c2c3c4, 0};

constexpr auto virtio = baked<[] {
  return aml::device(
      anyone.name, aml::name("_HID", aml::text("LNRO0005")),
      aml::name("_UID", aml::integer(anyone.registers)), aml::name("_CCA", aml::integer(1)),
      aml::name("_CRS", aml::resource_template(aml::memory_window(anyone.registers, anyone.size),
                                               aml::interrupt(anyone.gsi, anyone.sharing))));
}>();

// Where `part` ends.
consteval std::size_t behind(const aml::term& part) {
  const auto found = std::search(virtio.begin(), virtio.end(), part.begin(), part.end());
  if (found == virtio.end() ||
      std::search(found + 1, virtio.end(), part.begin(), part.end()) != virtio.end())
    throw "not there, or twice"; // And so it does not compile.
  return static_cast<std::size_t>(found - virtio.begin()) + part.size();
}

constexpr auto at_name = behind(aml::path(anyone.name)) - 4;
constexpr auto at_uid = behind(aml::name("_UID", aml::integer(anyone.registers))) - 4;
constexpr auto behind_window = behind(aml::memory_window(anyone.registers, anyone.size));
constexpr auto behind_interrupt = behind(aml::interrupt(anyone.gsi, anyone.sharing));
constexpr auto at_registers = behind_window - 8;
constexpr auto at_size = behind_window - 4;
constexpr auto at_flags = behind_interrupt - 6;
constexpr auto at_gsi = behind_interrupt - 4;

void put_virtio(byte_writer& out, const identity& who) {
  const auto begin = out.size();
  out.append(virtio);
  for (std::size_t i = 0; i < anyone.name.size(); ++i)
    out.patch_u8(begin + at_name + i, static_cast<std::uint8_t>(who.name[i]));
  out.patch_u32(begin + at_uid, who.registers);
  out.patch_u32(begin + at_registers, who.registers);
  out.patch_u32(begin + at_size, who.size);
  out.patch_u32(begin + at_gsi, who.gsi);
  const auto flags = std::to_integer<std::uint8_t>(virtio[at_flags]);
  out.patch_u8(begin + at_flags, static_cast<std::uint8_t>(flags | who.sharing));
}

bool shares_line(std::span<const memory::device_window> all, const memory::device_window& one) {
  return std::ranges::count(all, one.gsi, &memory::device_window::gsi) > 1;
}

void put_virtio(byte_writer& out, std::span<const memory::device_window> all, std::size_t index) {
  static_assert(layout::virtio_mmio_slots <= 256, "an index has two digits");
  constexpr std::string_view digits = "0123456789ABCDEF";
  const std::array name{'V', '0', digits[index / 16], digits[index % 16]};
  const auto& it = all[index];
  put_virtio(out, {{name.data(), name.size()},
                   static_cast<std::uint32_t>(it.registers.start),
                   static_cast<std::uint32_t>(it.registers.size),
                   it.gsi,
                   shares_line(all, it) ? aml::shared_line : std::uint8_t{0}});
}

} // namespace

std::vector<std::byte> dsdt(const machine& what) {
  byte_writer devices;
  if (what.legacy.serial)
    devices.append(serial_port);
  if (what.legacy.keyboard)
    devices.append(keyboard);
  if (what.legacy.clock)
    devices.append(cmos_clock);
  if (what.legacy.panic)
    devices.append(panic_port);
  for (std::size_t i = 0; i < what.devices.size(); ++i)
    put_virtio(devices, what.devices, i);
  auto out = begin_table("DSDT", 2); // Revision 2: integers of 64 bits.
  out.append(power_off).append(aml::scope("_SB", devices.bytes()));
  return finish_table(std::move(out));
}

} // namespace troupe::acpi
