#include "actors/vcpu/boot/load.hpp"

#include "actors/vcpu/arch/x86_64/layout.hpp"
#include "actors/vcpu/boot/bzimage.hpp"
#include "actors/vcpu/boot/command_line.hpp"
#include "actors/vcpu/boot/elf.hpp"
#include "actors/vcpu/boot/image_file.hpp"
#include "actors/vcpu/boot/mp_table.hpp"
#include "actors/vcpu/boot/zero_page.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace troupe::boot {
namespace {

namespace layout = x86_64::layout;
using memory::address_range;
using memory::guest_memory;

static_assert(max_command_line < layout::command_line_size, "the NUL has a place too");

// A kernel in RAM, of either format.
struct loaded_kernel {
  x86_64::entry entry;
  address_range image;
  std::vector<std::byte> setup_header;
  gpa initrd_last = std::numeric_limits<std::uint32_t>::max();
  std::size_t command_line_max = max_command_line;
};

outcome<void> check_ram(const guest_memory& ram) {
  for (const auto& it : layout::ram(ram.size()))
    if (!ram.contiguous(it.start, it.size))
      return fail(errc::invalid_argument, "memory: {:#x} ... {:#x} is not one range of RAM",
                  it.start, it.end());
  return {};
}

outcome<void> check_devices(const std::vector<memory::device_window>& all) {
  constexpr address_range hole{layout::hole, layout::ioapic - layout::hole};
  for (auto it = all.begin(); it != all.end(); ++it) {
    const auto& where = it->registers;
    if (where.size == 0 || !hole.contains(where.start, where.size))
      return fail(errc::invalid_argument, "device at {:#x}: {:#x} bytes are not in the hole",
                  where.start, where.size);
    if (it->gsi >= layout::ioapic_pins)
      return fail(errc::invalid_argument, "device at {:#x}: line {} of {}", where.start, it->gsi,
                  layout::ioapic_pins);
    const auto same = [&](const auto& other) { return other.registers.overlaps(where); };
    if (std::any_of(all.begin(), it, same))
      return fail(errc::invalid_argument, "device at {:#x}: overlaps another one", where.start);
  }
  return {};
}

outcome<loaded_kernel> load_kernel(const boot_request& what, const guest_memory& ram,
                                   const address_range& allowed) {
  const auto file = TRY(image_file::of(what.kernel, "kernel", max_kernel_file));
  loaded_kernel found;
  if (TRY(is_elf(file))) {
    const auto elf = TRY(load_elf(file, ram, allowed));
    found.image = elf.image;
    found.entry = {x86_64::entry_mode::long_mode, elf.entry};
    if (what.how != protocol::linux64 && elf.pvh_entry)
      found.entry = {x86_64::entry_mode::protected_mode, *elf.pvh_entry};
  } else if (TRY(is_bzimage(file))) {
    auto image = TRY(load_bzimage(file, ram, allowed));
    found.image = image.image;
    found.entry = {x86_64::entry_mode::long_mode, image.entry};
    found.setup_header = std::move(image.setup_header);
    found.initrd_last = image.initrd_last;
    found.command_line_max = image.command_line_max;
  } else {
    return file.wrong("neither an ELF file nor a bzImage");
  }
  if (what.how == protocol::pvh && found.entry.mode != x86_64::entry_mode::protected_mode)
    return fail(errc::failed_precondition, "kernel: it has no PVH entry");
  return found;
}

// As high as RAM and kernel allow, so that the kernel may grow behind itself.
outcome<address_range> load_initrd(int fd, const guest_memory& ram, const loaded_kernel& kernel,
                                   const address_range& allowed) {
  const auto file = TRY(image_file::of(fd, "initrd", max_initrd_file));
  const auto end = std::min<gpa>(allowed.end(), kernel.initrd_last + 1);
  const auto lowest = memory::round_up(kernel.image.end(), kib(4));
  if (end < file.size() || memory::round_down(end - file.size(), kib(4)) < lowest)
    return fail(errc::resource_exhausted, "initrd: {} bytes do not fit into {:#x} ... {:#x}",
                file.size(), lowest, end);
  const address_range place{memory::round_down(end - file.size(), kib(4)), file.size()};
  TRY(file.copy(0, file.size(), ram, place.start));
  return place;
}

outcome<std::string> build_command_line(const boot_request& what, std::size_t longest) {
  command_line line;
  if (what.by == discovery::mp_table_and_command_line)
    for (const auto& it : what.devices)
      TRY(line.device(it));
  TRY(line.append(what.command_line));
  if (line.text().size() > longest)
    return fail(errc::invalid_argument, "command line: {} bytes, this kernel takes {}",
                line.text().size(), longest);
  return line.text();
}

outcome<void> write_discovery(const boot_request& what, const guest_memory& ram) {
  if (what.by == discovery::mp_table_and_command_line)
    return ram.write(layout::mp_table, TRY(mp_table(what.boot_vcpus, what.max_vcpus)));
  const acpi::machine machine{what.boot_vcpus, what.max_vcpus, what.devices, what.legacy};
  return ram.write(layout::acpi, TRY(acpi::build(machine)));
}

outcome<void> write_processor_tables(const x86_64::entry& entry, const guest_memory& ram) {
  const auto descriptors = x86_64::descriptors(entry);
  TRY(ram.write(layout::gdt, std::as_bytes(std::span{descriptors})));
  TRY(ram.write(layout::idt, std::array<std::byte, sizeof(std::uint64_t)>{}));
  if (entry.mode == x86_64::entry_mode::long_mode)
    TRY(ram.write(layout::page_tables, std::as_bytes(x86_64::identity_map())));
  return {};
}

outcome<void> write_parameters(const boot_request& what, const boot_plan& plan,
                               std::span<const std::byte> setup_header, const guest_memory& ram) {
  const kernel_parameters parameters{plan.initrd, what.by == discovery::acpi, plan.memory};
  const std::span text{plan.command_line.c_str(), plan.command_line.size() + 1};
  TRY(ram.write(layout::command_line, std::as_bytes(text)));
  if (plan.entry.mode == x86_64::entry_mode::protected_mode)
    return ram.write(layout::pvh_start_info, pvh_start_info(parameters));
  return ram.write(layout::zero_page, zero_page(parameters, setup_header));
}

} // namespace

outcome<boot_plan> load(const boot_request& what, const guest_memory& ram) {
  boot_plan plan;
  plan.memory = TRY(memory_map(ram.size()));
  TRY(check_ram(ram));
  TRY(check_devices(what.devices));
  const auto low_end = layout::ram(ram.size()).front().end();
  const address_range allowed{layout::high_ram, low_end - layout::high_ram};
  const auto kernel = TRY(load_kernel(what, ram, allowed));
  plan.entry = kernel.entry;
  plan.kernel = kernel.image;
  if (what.initrd >= 0)
    plan.initrd = TRY(load_initrd(what.initrd, ram, kernel, allowed));
  plan.command_line = TRY(build_command_line(what, kernel.command_line_max));
  TRY(write_discovery(what, ram));
  TRY(write_processor_tables(plan.entry, ram));
  TRY(write_parameters(what, plan, kernel.setup_header, ram));
  return plan;
}

} // namespace troupe::boot
