#pragma once

#include <cstddef>
#include <cstdint>

/// Offsets of the setup header in a bzImage and, the same, in boot_params. Source: Linux
/// Documentation/x86/boot.rst and zero-page.rst; a test compares them with <asm/bootparam.h>.
namespace troupe::boot::linux_header {

inline constexpr std::size_t start = 0x1f1;
inline constexpr std::size_t setup_sectors = 0x1f1;
inline constexpr std::size_t boot_flag = 0x1fe;
/// The second byte of a jump over the header: how far behind `magic` it ends.
inline constexpr std::size_t length = 0x201;
inline constexpr std::size_t magic = 0x202;
inline constexpr std::size_t version = 0x206;
inline constexpr std::size_t loader_type = 0x210;
inline constexpr std::size_t load_flags = 0x211;
inline constexpr std::size_t ramdisk_address = 0x218;
inline constexpr std::size_t ramdisk_size = 0x21c;
inline constexpr std::size_t command_line = 0x228;
inline constexpr std::size_t initrd_last = 0x22c;
inline constexpr std::size_t kernel_alignment = 0x230;
inline constexpr std::size_t extended_flags = 0x236;
inline constexpr std::size_t command_line_max = 0x238;
inline constexpr std::size_t preferred_address = 0x258;
inline constexpr std::size_t init_size = 0x260;
/// What the fields above need of a header.
inline constexpr std::size_t smallest_end = 0x264;

/// boot_params has other fields from here on, however long a header says it is.
inline constexpr std::size_t largest_end = 0x290;

inline constexpr std::uint16_t boot_flag_value = 0xaa55;
inline constexpr std::uint32_t magic_value = 0x53726448; // "HdrS"
inline constexpr std::uint16_t first_version = 0x20c;
inline constexpr std::uint8_t loaded_high = 1 << 0;
inline constexpr std::uint16_t has_64_bit_entry = 1 << 0;
inline constexpr std::uint8_t unknown_loader = 0xff;

/// The rest of boot_params that we fill in.
inline constexpr std::size_t rsdp_address = 0x70;
inline constexpr std::size_t e820_entries = 0x1e8;
inline constexpr std::size_t e820_table = 0x2d0;
inline constexpr std::size_t e820_entry_size = 20;
inline constexpr std::size_t e820_max = 128;
inline constexpr std::size_t boot_params_size = 4096;

} // namespace troupe::boot::linux_header
