#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "actors/vcpu/boot/linux_header.hpp"
#include "actors/vcpu/boot/memory_map.hpp"
#include "actors/vcpu/boot/mp_table.hpp"
#include "actors/vcpu/boot/zero_page.hpp"
#include "actors/vcpu/memory/byte_writer.hpp"

#include <asm/bootparam.h>
#include <catch2/catch.hpp>

#include <cstddef>
#include <cstring>
#include <span>
#include <string>

using namespace troupe;
using boot::map_entry;
using boot::memory_kind;
namespace header = boot::linux_header;
namespace layout = x86_64::layout;

namespace {

map_entry ram(gpa start, gpa end) {
  return {{start, end - start}, memory_kind::ram};
}
map_entry reserved(gpa start, gpa end) {
  return {{start, end - start}, memory_kind::reserved};
}

template <class T>
T get(const std::vector<std::byte>& from, std::size_t at) {
  T value{};
  REQUIRE(at + sizeof(T) <= from.size());
  std::memcpy(&value, from.data() + at, sizeof(T));
  return value;
}

std::string text(const std::vector<std::byte>& from, std::size_t at, std::size_t length) {
  std::string out;
  for (std::size_t i = at; i < at + length; ++i)
    out += static_cast<char>(from.at(i));
  return out;
}

boot::kernel_parameters usual() {
  return {memory::address_range{0x3f00000, 0x1234}, true, boot::memory_map(mib(64)).value()};
}

constexpr auto setup = offsetof(boot_params, hdr);

} // namespace

TEST_CASE("memory map: RAM that ends before, at and behind the hole") {
  const auto low = ram(0, 0x9fc00);
  const auto firmware = reserved(0x9fc00, 0x100000);
  const auto controllers = reserved(0xfec00000, gib(4));
  const auto with = [&](std::vector<map_entry> high) {
    std::vector<map_entry> all{low, firmware};
    all.insert(all.end(), high.begin(), high.end());
    return all;
  };
  const auto map = [](byte_count size) { return boot::memory_map(size).value(); };
  CHECK(map(mib(64)) == with({ram(mib(1), mib(64)), controllers}));
  CHECK(map(mib(128)) == with({ram(mib(1), mib(128)), controllers}));
  CHECK(map(gib(3) - kib(4)) == with({ram(mib(1), gib(3) - kib(4)), controllers}));
  CHECK(map(gib(3)) == with({ram(mib(1), gib(3)), controllers}));
  CHECK(map(gib(3) + kib(4)) ==
        with({ram(mib(1), gib(3)), controllers, ram(gib(4), gib(4) + kib(4))}));
  CHECK(map(gib(8)) == with({ram(mib(1), gib(3)), controllers, ram(gib(4), gib(9))}));
}

TEST_CASE("memory map: RAM that is too small, too large or not in pages, is refused") {
  const auto code = [](byte_count size) { return boot::memory_map(size).error().code; };
  CHECK(code(0) == errc::invalid_argument);
  CHECK(code(mib(2) - kib(4)) == errc::invalid_argument);
  CHECK(code(mib(64) + 1) == errc::invalid_argument);
  CHECK(code(boot::max_ram + kib(4)) == errc::invalid_argument);
  CHECK(boot::memory_map(boot::min_ram));
  CHECK(boot::memory_map(boot::max_ram));
}

TEST_CASE("linux header: our offsets, are those of the kernel's own structs") {
  CHECK(header::boot_params_size == sizeof(boot_params));
  CHECK(header::start == setup);
  CHECK(header::setup_sectors == setup + offsetof(setup_header, setup_sects));
  CHECK(header::boot_flag == setup + offsetof(setup_header, boot_flag));
  CHECK(header::length == setup + offsetof(setup_header, jump) + 1);
  CHECK(header::magic == setup + offsetof(setup_header, header));
  CHECK(header::version == setup + offsetof(setup_header, version));
  CHECK(header::loader_type == setup + offsetof(setup_header, type_of_loader));
  CHECK(header::load_flags == setup + offsetof(setup_header, loadflags));
  CHECK(header::ramdisk_address == setup + offsetof(setup_header, ramdisk_image));
  CHECK(header::ramdisk_size == setup + offsetof(setup_header, ramdisk_size));
  CHECK(header::command_line == setup + offsetof(setup_header, cmd_line_ptr));
  CHECK(header::initrd_last == setup + offsetof(setup_header, initrd_addr_max));
  CHECK(header::kernel_alignment == setup + offsetof(setup_header, kernel_alignment));
  CHECK(header::extended_flags == setup + offsetof(setup_header, xloadflags));
  CHECK(header::command_line_max == setup + offsetof(setup_header, cmdline_size));
  CHECK(header::preferred_address == setup + offsetof(setup_header, pref_address));
  CHECK(header::init_size == setup + offsetof(setup_header, init_size));
  CHECK(header::largest_end == offsetof(boot_params, edd_mbr_sig_buffer));
  CHECK(header::rsdp_address == offsetof(boot_params, acpi_rsdp_addr));
  CHECK(header::e820_entries == offsetof(boot_params, e820_entries));
  CHECK(header::e820_table == offsetof(boot_params, e820_table));
  CHECK(header::e820_entry_size == sizeof(boot_e820_entry));
  CHECK(header::e820_max == E820_MAX_ENTRIES_ZEROPAGE);
  CHECK(header::loaded_high == LOADED_HIGH);
  CHECK(header::has_64_bit_entry == XLF_KERNEL_64);
}

TEST_CASE("zero page: for an ELF kernel, reads back through the kernel's own struct") {
  const auto it = get<boot_params>(boot::zero_page(usual(), {}), 0);
  CHECK(it.hdr.boot_flag == 0xaa55);
  CHECK(it.hdr.header == 0x53726448);
  CHECK(it.hdr.version == 0x20c);
  CHECK(it.hdr.type_of_loader == 0xff);
  CHECK(it.hdr.kernel_alignment == 0x1000000);
  CHECK(it.hdr.cmd_line_ptr == 0x20000);
  CHECK(it.hdr.cmdline_size == 2047);
  CHECK(it.hdr.ramdisk_image == 0x3f00000);
  CHECK(it.hdr.ramdisk_size == 0x1234);
  CHECK(it.acpi_rsdp_addr == 0xe0000);
  CHECK(it.sentinel == 0); // Else the kernel clears half of the page.
  REQUIRE(it.e820_entries == 4);
  CHECK(it.e820_table[1].addr == 0x9fc00);
  CHECK(it.e820_table[1].size == 0x60400);
  CHECK(it.e820_table[1].type == 2);
  CHECK(it.e820_table[2].addr == 0x100000);
  CHECK(it.e820_table[2].type == 1);
}

TEST_CASE("zero page: without initrd and ACPI, names neither") {
  const auto it = get<boot_params>(boot::zero_page({std::nullopt, false, usual().memory}, {}), 0);
  CHECK(it.hdr.ramdisk_image == 0);
  CHECK(it.hdr.ramdisk_size == 0);
  CHECK(it.acpi_rsdp_addr == 0);
}

TEST_CASE("zero page: for a bzImage, keeps its header and fills in the loader's part") {
  const std::vector<std::byte> file_header(header::largest_end - header::start, std::byte{0x11});
  const auto page = boot::zero_page(usual(), file_header);
  const auto it = get<boot_params>(page, 0);
  CHECK(page.size() == 4096);
  CHECK(it.hdr.version == 0x1111);
  CHECK(it.hdr.cmdline_size == 0x11111111);
  CHECK(it.hdr.type_of_loader == 0xff);
  CHECK(it.hdr.ramdisk_image == 0x3f00000);
  CHECK(it.sentinel == 0);
  CHECK(it.e820_entries == 4);
  CHECK(get<std::uint8_t>(page, header::largest_end) == 0);
}

TEST_CASE("pvh: the start info, has these bytes") {
  const auto it = boot::pvh_start_info(usual());
  memory::byte_writer expected;
  expected.u32(0x336ec578).u32(1).u32(0).u32(1);              // magic, version, flags, modules
  expected.u64(0x6040).u64(0x20000).u64(0xe0000).u64(0x6100); // modules, words, RSDP, map
  expected.u32(4).u32(0).zeros(8);
  expected.u64(0x3f00000).u64(0x1234).u64(0).u64(0).zeros(0xa0);
  expected.u64(0).u64(0x9fc00).u32(1).u32(0);
  expected.u64(0x9fc00).u64(0x60400).u32(2).u32(0);
  expected.u64(0x100000).u64(0x3f00000).u32(1).u32(0);
  expected.u64(0xfec00000).u64(0x1400000).u32(2).u32(0);
  CHECK(it == expected.bytes());
  CHECK(layout::pvh_start_info + it.size() <= layout::zero_page);
}

TEST_CASE("pvh: without initrd and ACPI, names neither") {
  const auto it = boot::pvh_start_info({std::nullopt, false, usual().memory});
  CHECK(get<std::uint32_t>(it, 12) == 0);
  CHECK(get<std::uint64_t>(it, 16) == 0);
  CHECK(get<std::uint64_t>(it, 32) == 0);
}

TEST_CASE("mp table: two of three processors, have these bytes") {
  const auto it = boot::mp_table(2, 3).value();
  CHECK(text(it, 0, 4) == "_MP_");
  CHECK(get<std::uint32_t>(it, 4) == 0xf0010);
  CHECK(memory::checksum(std::span{it}.first(16)) == 0);
  CHECK(text(it, 16, 4) == "PCMP");
  const auto length = get<std::uint16_t>(it, 20);
  CHECK(it.size() == 16U + length);
  CHECK(memory::checksum(std::span{it}.subspan(16)) == 0);
  CHECK(text(it, 24, 20) == "TROUPE  TROUPEVM    ");
  CHECK(get<std::uint16_t>(it, 50) == 3 + 1 + 1 + 24 + 2);
  CHECK(get<std::uint32_t>(it, 52) == 0xfee00000);
  const auto processor = [&](std::size_t index) { return get<std::uint32_t>(it, 60 + 20 * index); };
  CHECK(processor(0) == 0x03140000); // enabled, the first
  CHECK(processor(1) == 0x01140100); // enabled
  CHECK(processor(2) == 0x00140200); // possible
  CHECK(text(it, 120, 8) == std::string("\x01\x00ISA   ", 8));
  CHECK(get<std::uint64_t>(it, 128) == 0xfec0000001110302);
  CHECK(get<std::uint64_t>(it, 136) == 0x0003000000000003);          // line 0 to pin 0 of IOAPIC 3
  CHECK(get<std::uint64_t>(it, 136 + 8 * 23) == 0x1703170000000003); // line 23 to pin 23
  CHECK(get<std::uint64_t>(it, 136 + 8 * 24) == 0x0000000000000304); // the PIC at LINT0
  CHECK(get<std::uint64_t>(it, 136 + 8 * 25) == 0x01ff000000000104); // NMI at LINT1 of all
}

TEST_CASE("mp table: the largest machine, fits; impossible ones are refused") {
  const auto it = boot::mp_table(1, layout::max_vcpus).value();
  CHECK(it.size() <= layout::high_ram - layout::mp_table);
  CHECK(memory::checksum(std::span{it}.subspan(16)) == 0);
  CHECK(boot::mp_table(0, 1).error().code == errc::invalid_argument);
  CHECK(boot::mp_table(2, 1).error().code == errc::invalid_argument);
  CHECK(boot::mp_table(1, layout::max_vcpus + 1).error().code == errc::invalid_argument);
}
