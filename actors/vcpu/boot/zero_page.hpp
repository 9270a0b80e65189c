#pragma once

#include "actors/vcpu/boot/memory_map.hpp"
#include "actors/vcpu/memory/address_range.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe::boot {

/// What a kernel is told, in either form. Its command line is at layout::command_line.
struct kernel_parameters {
  std::optional<memory::address_range> initrd;
  /// Whether there are ACPI tables at layout::acpi.
  bool acpi = false;
  std::vector<map_entry> memory;
};

/// Linux's boot_params for its 64-bit entry, a page for layout::zero_page. `setup_header` is that
/// of a bzImage, empty for ELF. Source: Linux Documentation/x86/zero-page.rst.
/// @pre at most linux_header::e820_max entries.
[[nodiscard]] std::vector<std::byte> zero_page(const kernel_parameters& what,
                                               std::span<const std::byte> setup_header);

/// PVH's hvm_start_info with module list and memory map, for layout::pvh_start_info. Source: Xen,
/// public/arch-x86/hvm/start_info.h, version 1. @pre the map fits before layout::zero_page.
[[nodiscard]] std::vector<std::byte> pvh_start_info(const kernel_parameters& what);

} // namespace troupe::boot
