#include "actors/vcpu/acpi/aml.hpp"
#include "actors/vcpu/acpi/tables.hpp"
#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "actors/vcpu/memory/byte_writer.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

using namespace troupe;
namespace aml = acpi::aml;
namespace layout = x86_64::layout;
using bytes = std::vector<std::byte>;

namespace {

bytes raw(std::initializer_list<int> values) {
  bytes out;
  for (const auto it : values)
    out.push_back(static_cast<std::byte>(it));
  return out;
}

template <class T>
T get(const bytes& from, std::size_t at) {
  T value{};
  REQUIRE(at + sizeof(T) <= from.size());
  std::memcpy(&value, from.data() + at, sizeof(T));
  return value;
}

std::string text(const bytes& from, std::size_t at, std::size_t length) {
  std::string out;
  for (std::size_t i = at; i < at + length; ++i)
    out += static_cast<char>(from.at(i));
  return out;
}

int sum(const bytes& from, std::size_t length) {
  return memory::checksum(std::span{from}.first(length));
}

const std::vector<memory::device_window> two_devices{layout::virtio_slot(0),
                                                     layout::virtio_slot(1)};
const acpi::machine usual{2, 4, two_devices, {true, true}};

// The table of a signature that the XSDT in `area` leads to; "XSDT" gives itself.
bytes follow(const bytes& area, const std::string& signature) {
  const auto table = [&](gpa at) {
    const auto offset = at - layout::acpi;
    const auto length = get<std::uint32_t>(area, offset + 4);
    REQUIRE(offset + length <= area.size());
    return bytes{area.begin() + static_cast<std::ptrdiff_t>(offset),
                 area.begin() + static_cast<std::ptrdiff_t>(offset + length)};
  };
  const auto list = table(get<std::uint64_t>(area, 24));
  if (signature == "XSDT")
    return list;
  for (std::size_t at = 36; at < list.size(); at += 8) {
    auto it = table(get<std::uint64_t>(list, at));
    if (signature == "DSDT" && text(it, 0, 4) == "FACP")
      return table(get<std::uint64_t>(it, 140));
    if (text(it, 0, 4) == signature)
      return it;
  }
  FAIL("no table " << signature);
  return {};
}

} // namespace

TEST_CASE("aml: numbers and names, take the shortest form") {
  CHECK(aml::integer(0) == raw({0x00}));
  CHECK(aml::integer(1) == raw({0x01}));
  CHECK(aml::integer(0xff) == raw({0x0a, 0xff}));
  CHECK(aml::integer(0x100) == raw({0x0b, 0x00, 0x01}));
  CHECK(aml::integer(0x10000) == raw({0x0c, 0x00, 0x00, 0x01, 0x00}));
  CHECK(aml::integer(1ULL << 32) == raw({0x0e, 0, 0, 0, 0, 1, 0, 0, 0}));
  CHECK(aml::path("PS2") == raw({'P', 'S', '2', '_'}));
  CHECK(aml::path("_SB_") == raw({'_', 'S', 'B', '_'}));
  CHECK(aml::text("hi") == raw({0x0d, 'h', 'i', 0}));
  CHECK(aml::eisa_id("PNP0501") == raw({0x0c, 0x41, 0xd0, 0x05, 0x01}));
}

TEST_CASE("aml: resources, are those of the specification's examples") {
  CHECK(aml::memory_window(0xd0000000, 0x1000) ==
        raw({0x86, 9, 0, 1, 0, 0, 0, 0xd0, 0, 0x10, 0, 0}));
  CHECK(aml::interrupt(5) == raw({0x89, 6, 0, 0x03, 1, 5, 0, 0, 0}));
  CHECK(aml::interrupt(5, aml::shared_line) == raw({0x89, 6, 0, 0x0b, 1, 5, 0, 0, 0}));
  CHECK(aml::io_ports(0x3f8, 8) == raw({0x47, 1, 0xf8, 0x03, 0xf8, 0x03, 1, 8}));
  CHECK(aml::resource_template() == raw({0x11, 5, 0x0a, 2, 0x79, 0}));
}

TEST_CASE("aml: a length, counts itself and grows by a byte at 64 and at 4096") {
  const auto head = [](std::size_t content, std::size_t count) {
    // A scope adds its name of four bytes.
    const auto it = aml::scope("A", aml::term(content - 4));
    return bytes{it.begin() + 1, it.begin() + 1 + static_cast<std::ptrdiff_t>(count)};
  };
  CHECK(head(62, 2) == raw({63, 'A'}));
  CHECK(head(63, 3) == raw({0x41, 0x04, 'A'})); // 65 with its two bytes
  CHECK(head(4093, 3) == raw({0x4f, 0xff, 'A'}));
  CHECK(head(4094, 4) == raw({0x81, 0x00, 0x01, 'A'})); // 4097 with its three
}

TEST_CASE("acpi: the RSDP, has the bytes of revision 2 with both checksums") {
  const auto it = acpi::rsdp(0x00000000000e0400);
  CHECK(it ==
        raw({'R', 'S', 'D', ' ', 'P', 'T', 'R', ' ', 0,   'T', 'R', 'O', 'U', 'P', 'E',  2, 0, 0,
             0,   0,   36,  0,   0,   0,   0,   4,   0xe, 0,   0,   0,   0,   0,   0xca, 0, 0, 0}));
  CHECK(sum(it, 20) == 0);
  CHECK(sum(it, 36) == 0);
}

TEST_CASE("acpi: every table, is reached from the RSDP and sums to 0") {
  const auto area = acpi::build(usual).value();
  CHECK(text(area, 0, 8) == "RSD PTR ");
  CHECK(sum(area, 36) == 0);
  for (const auto* signature : {"XSDT", "FACP", "APIC", "DSDT"}) {
    CAPTURE(signature);
    const auto table = follow(area, signature);
    CHECK(text(table, 0, 4) == signature);
    CHECK(sum(table, table.size()) == 0);
    CHECK(text(table, 10, 6) == "TROUPE");
  }
}

TEST_CASE("acpi: the FADT, is hardware-reduced and says how to reset and to power off") {
  const auto it = acpi::fadt(usual, 0xe0040);
  REQUIRE(it.size() == 276);
  CHECK(std::to_integer<int>(it[8]) == 6);
  CHECK(std::to_integer<int>(it[131]) == 5);
  CHECK(get<std::uint32_t>(it, 112) == (1U << 20 | 1U << 10 | 1U << 5 | 1U << 4));
  CHECK(get<std::uint16_t>(it, 109) == 0x27); // Legacy devices, keyboard, no VGA, no clock.
  const auto port = [&](std::size_t at) {
    CHECK(text(it, at, 4) == std::string("\x01\x08\x00\x01", 4));
    return get<std::uint64_t>(it, at + 4);
  };
  CHECK(port(116) == 0x64);
  CHECK(std::to_integer<int>(it[128]) == 0xfe);
  CHECK(get<std::uint64_t>(it, 140) == 0xe0040);
  CHECK(port(244) == 0x600);
  CHECK(port(256) == 0x601);
}

TEST_CASE("acpi: a machine without legacy devices, promises none") {
  const acpi::machine bare{1, 1, {}, {false, false}};
  const auto it = acpi::fadt(bare, 0xe0040);
  CHECK(get<std::uint16_t>(it, 109) == 0x24);
  CHECK((get<std::uint32_t>(it, 112) & 1U << 10) == 0);
  CHECK(get<std::uint64_t>(it, 120) == 0);
  const auto devices = acpi::dsdt(bare);
  const auto all = text(devices, 0, devices.size());
  CHECK(all.find("COM1") == std::string::npos);
  CHECK(all.find("PS2_") == std::string::npos);
  CHECK(acpi::madt(bare).size() == 36 + 8 + 8 + 12 + 6);
}

TEST_CASE("acpi: a clock and a panic port, are named where they are") {
  const acpi::machine full{1, 1, {}, {true, true, true, true}};
  CHECK((get<std::uint16_t>(acpi::fadt(full, 0), 109) & 0x20) == 0);
  const auto devices = acpi::dsdt(full);
  const auto all = text(devices, 0, devices.size());
  const auto has = [&](const std::string& name, const std::string& ports) {
    return all.find(ports, all.find(name)) != std::string::npos;
  };
  // First address and last first address, alignment, how many.
  CHECK(has("RTC_", std::string("\x47\x01\x70\x00\x70\x00\x01\x02", 8)));
  CHECK(has("QEMU0001", std::string("\x47\x01\x05\x05\x05\x05\x01\x01", 8)));
  const auto usual_devices = acpi::dsdt(usual);
  CHECK(text(usual_devices, 0, usual_devices.size()).find("QEMU") == std::string::npos);
}

TEST_CASE("acpi: the MADT, lists every possible processor, the IOAPIC and the ISA lines") {
  const auto it = acpi::madt(usual);
  CHECK(get<std::uint32_t>(it, 36) == 0xfee00000);
  CHECK(get<std::uint32_t>(it, 40) == 0);
  const bytes entries{it.begin() + 44, it.end()};
  CHECK(entries == raw({0, 8,  0,    0, 1, 0, 0,    0,                // running
                        0, 8,  1,    1, 1, 0, 0,    0,                //
                        0, 8,  2,    2, 2, 0, 0,    0,                // online capable
                        0, 8,  3,    3, 2, 0, 0,    0,                //
                        1, 12, 4,    0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0, // IOAPIC 4
                        2, 10, 0,    1, 1, 0, 0,    0,    5, 0,       // keyboard
                        2, 10, 0,    4, 4, 0, 0,    0,    5, 0,       // COM1
                        4, 6,  0xff, 0, 0, 1}));                      // NMI
}

TEST_CASE("acpi: the DSDT of one device, has these bytes") {
  const std::vector<memory::device_window> one{layout::virtio_slot(0)};
  const auto it = acpi::dsdt({1, 1, one, {false, false}});
  const bytes code{it.begin() + 36, it.end()};
  CHECK(code == raw({0x08, '_',  'S',  '5',  '_',  0x12, 0x07, 4,    0x0a, 5,    0,    0,    0,
                     0x10, 0x4d, 0x04, '_',  'S',  'B',  '_',  0x5b, 0x82, 0x45, 0x04, 'V',  '0',
                     '0',  '0',  0x08, '_',  'H',  'I',  'D',  0x0d, 'L',  'N',  'R',  'O',  '0',
                     '0',  '0',  '5',  0,    0x08, '_',  'U',  'I',  'D',  0x0c, 0,    0,    0,
                     0xd0, 0x08, '_',  'C',  'C',  'A',  1,    0x08, '_',  'C',  'R',  'S',  0x11,
                     0x1a, 0x0a, 0x17, 0x86, 9,    0,    1,    0,    0,    0,    0xd0, 0,    0x10,
                     0,    0,    0x89, 6,    0,    3,    1,    5,    0,    0,    0,    0x79, 0}));
}

TEST_CASE("acpi: devices on one line, say that they share it") {
  const std::vector<memory::device_window> three{layout::virtio_slot(0), layout::virtio_slot(1),
                                                 layout::virtio_slot(18)};
  const auto it = acpi::dsdt({1, 1, three, {false, false}});
  const auto code = text(it, 0, it.size());
  const auto flags_of = [&](const char* name) {
    return static_cast<int>(code[code.find('\x89', code.find(name)) + 3]);
  };
  CHECK(flags_of("V000") == 0x0b);
  CHECK(flags_of("V001") == 0x03);
  CHECK(flags_of("V002") == 0x0b);
}

TEST_CASE("acpi: the largest machine, fits; a larger one is refused") {
  std::vector<memory::device_window> all;
  for (std::uint32_t slot = 0; slot < layout::virtio_mmio_slots; ++slot)
    all.push_back(layout::virtio_slot(slot));
  const auto area = acpi::build({1, layout::max_vcpus, all, {true, true}}).value();
  CHECK(area.size() <= layout::mp_table - layout::acpi);
  all.push_back({{0xcf000000, 0x1000}, 5});
  const auto code = [](const acpi::machine& what) { return acpi::build(what).error().code; };
  CHECK(code({1, 1, all, {true, true}}) == errc::resource_exhausted);
  CHECK(code({0, 1, {}, {true, true}}) == errc::invalid_argument);
  CHECK(code({2, 1, {}, {true, true}}) == errc::invalid_argument);
  CHECK(code({1, layout::max_vcpus + 1, {}, {true, true}}) == errc::invalid_argument);
  const std::vector<memory::device_window> high{{{gib(4) - 0x800, 0x1000}, 5}};
  CHECK(code({1, 1, high, {true, true}}) == errc::invalid_argument);
}
