#pragma once

#include "actors/vcpu/acpi/tables.hpp"
#include "actors/vcpu/arch/x86_64/entry.hpp"
#include "actors/vcpu/boot/memory_map.hpp"
#include "actors/vcpu/memory/address_range.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// Everything that is in an x86_64 guest's RAM before its first instruction.
namespace troupe::boot {

/// A kernel with all its debugging information has about this size; most of it is never read.
inline constexpr byte_count max_kernel_file = gib(1);
/// It is copied into RAM whole, on the thread that loads.
inline constexpr byte_count max_initrd_file = gib(1);

enum class protocol : std::uint8_t {
  automatic, ///< PVH where the kernel offers it, else Linux.
  linux64,   ///< Linux's 64-bit entry, which bare payloads get too.
  pvh,
};

/// How the guest finds processors and devices. Never both: it would find each device twice.
enum class discovery : std::uint8_t {
  acpi,
  mp_table_and_command_line,
};

struct boot_request {
  /// An ELF executable or a bzImage; borrowed while it is loaded. An ELF file without PVH's note
  /// need not be Linux: it is entered at e_entry in 64-bit mode, with RSI at layout::zero_page.
  int kernel = -1;
  /// Borrowed too; -1: none.
  int initrd = -1;
  /// As an operator wrote it; what we add comes before it.
  std::string command_line;
  std::uint32_t boot_vcpus = 1;
  std::uint32_t max_vcpus = 1;
  /// In the hole, at IOAPIC inputs. A window may be empty still.
  std::vector<memory::device_window> devices;
  protocol how = protocol::automatic;
  discovery by = discovery::acpi;
  /// Which legacy devices ACPI tells about.
  acpi::legacy_devices legacy;
};

/// What was done, and how to begin.
struct boot_plan {
  x86_64::entry entry;
  memory::address_range kernel;
  std::optional<memory::address_range> initrd;
  std::string command_line;
  std::vector<map_entry> memory;
};

/// Writes kernel, initrd, command line, tables and descriptors into `ram`.
/// @pre `ram` is fresh, hence zero.
///
/// invalid_argument: a file, the command line, a number of processors, a window, or RAM that is not
/// where layout::ram says; the text names it. failed_precondition: PVH was asked for and the kernel
/// does not offer it. resource_exhausted: something does not fit. host_io: a file cannot be read.
/// On failure a part may have been written; the machine is to be thrown away.
[[nodiscard]] outcome<boot_plan> load(const boot_request& what, const memory::guest_memory& ram);

} // namespace troupe::boot
