#pragma once

#include "actors/vcpu/boot/image_file.hpp"
#include "actors/vcpu/memory/address_range.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace troupe::boot {

/// Linux has about five program headers; a file with thousands only wants us to read them.
inline constexpr std::uint16_t max_program_headers = 64;
/// Linux's notes are a few hundred bytes.
inline constexpr byte_count max_notes = kib(64);

/// A kernel in guest RAM.
struct elf_kernel {
  /// From its first to its last byte, the zeroed ones included.
  memory::address_range image;
  /// Its 64-bit entry.
  gpa entry = 0;
  /// Its 32-bit entry with PVH's conventions, when it names one (note "Xen", type 18).
  std::optional<gpa> pvh_entry;
};

/// Whether a file begins as ELF files do.
[[nodiscard]] outcome<bool> is_elf(const image_file& file);

/// Copies the PT_LOAD segments of a 64-bit x86 ELF executable to their physical addresses. Checked
/// before a byte is written: class, machine and type; every segment is in the file and in
/// `allowed`, holds no more in the file than in memory, and overlaps no other; each entry is at a
/// byte that comes from the file; notes keep to their segment. A violation is invalid_argument and
/// names the field.
///
/// Bytes that are in memory but not in the file are left alone. @pre RAM is fresh, hence zero.
[[nodiscard]] outcome<elf_kernel> load_elf(const image_file& file, const memory::guest_memory& ram,
                                           const memory::address_range& allowed);

} // namespace troupe::boot
