#pragma once

#include "actors/vcpu/boot/image_file.hpp"
#include "actors/vcpu/memory/address_range.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::boot {

/// A compressed Linux in guest RAM; it unpacks itself.
struct bzimage_kernel {
  /// From where it was loaded, as long as it needs while it unpacks itself (init_size).
  memory::address_range image;
  /// Its 64-bit entry.
  gpa entry = 0;
  /// The setup header as the file has it, for boot_params from linux_header_start on.
  std::vector<std::byte> setup_header;
  /// The highest address its initrd may have a byte at.
  gpa initrd_last = 0;
  /// The longest command line it takes, without the NUL.
  std::uint32_t command_line_max = 0;
};

/// Whether a file has the marks of a bzImage.
[[nodiscard]] outcome<bool> is_bzimage(const image_file& file);

/// Copies the protected-mode part of a bzImage to the address it prefers. Checked first: boot flag
/// and magic, version 2.12 or later with a 64-bit entry (XLF_KERNEL_64), loaded high; the setup
/// sectors and the header end in the file; what it needs to unpack itself is in `allowed`. A
/// violation is invalid_argument and names the field. Source: Linux Documentation/x86/boot.rst.
[[nodiscard]] outcome<bzimage_kernel> load_bzimage(const image_file& file,
                                                   const memory::guest_memory& ram,
                                                   const memory::address_range& allowed);

} // namespace troupe::boot
