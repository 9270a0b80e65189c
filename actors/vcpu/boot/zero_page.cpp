#include "actors/vcpu/boot/zero_page.hpp"

#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "actors/vcpu/boot/linux_header.hpp"
#include "actors/vcpu/memory/byte_writer.hpp"

namespace troupe::boot {
namespace {

namespace header = linux_header;
namespace layout = x86_64::layout;
using memory::byte_writer;

byte_writer begin_page(std::span<const std::byte> setup_header) {
  byte_writer page;
  page.zeros(header::start).append(setup_header);
  page.zeros(header::boot_params_size - page.size());
  if (!setup_header.empty())
    return page;
  page.patch_u16(header::boot_flag, header::boot_flag_value);
  page.patch_u32(header::magic, header::magic_value);
  page.patch_u16(header::version, header::first_version);
  constexpr std::uint32_t usual_alignment = 0x1000000;
  page.patch_u32(header::kernel_alignment, usual_alignment);
  page.patch_u32(header::command_line_max, layout::command_line_size - 1);
  return page;
}

void put_map(byte_writer& page, const std::vector<map_entry>& map) {
  page.patch_u8(header::e820_entries, static_cast<std::uint8_t>(map.size()));
  auto at = header::e820_table;
  for (const auto& it : map) {
    page.patch_u64(at, it.range.start);
    page.patch_u64(at + 8, it.range.size);
    page.patch_u32(at + 16, static_cast<std::uint32_t>(it.kind));
    at += header::e820_entry_size;
  }
}

} // namespace

std::vector<std::byte> zero_page(const kernel_parameters& what,
                                 std::span<const std::byte> setup_header) {
  auto page = begin_page(setup_header);
  page.patch_u8(header::loader_type, header::unknown_loader);
  page.patch_u32(header::command_line, static_cast<std::uint32_t>(layout::command_line));
  if (what.initrd) {
    page.patch_u32(header::ramdisk_address, static_cast<std::uint32_t>(what.initrd->start));
    page.patch_u32(header::ramdisk_size, static_cast<std::uint32_t>(what.initrd->size));
  }
  if (what.acpi)
    page.patch_u64(header::rsdp_address, layout::acpi);
  put_map(page, what.memory);
  return page.take();
}

std::vector<std::byte> pvh_start_info(const kernel_parameters& what) {
  constexpr std::uint32_t magic = 0x336ec578;
  constexpr std::uint32_t version = 1; // The first with a memory map.
  byte_writer out;
  out.u32(magic).u32(version).u32(0).u32(what.initrd ? 1 : 0);
  out.u64(what.initrd ? layout::pvh_modules : 0).u64(layout::command_line);
  out.u64(what.acpi ? layout::acpi : 0).u64(layout::pvh_memory_map);
  out.u32(static_cast<std::uint32_t>(what.memory.size())).u32(0);
  out.zeros(layout::pvh_modules - layout::pvh_start_info - out.size());
  const auto initrd = what.initrd.value_or(memory::address_range{});
  out.u64(initrd.start).u64(initrd.size).u64(0).u64(0);
  out.zeros(layout::pvh_memory_map - layout::pvh_start_info - out.size());
  for (const auto& it : what.memory)
    out.u64(it.range.start).u64(it.range.size).u32(static_cast<std::uint32_t>(it.kind)).u32(0);
  return out.take();
}

} // namespace troupe::boot
