#pragma once

#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <span>
#include <vector>

namespace troupe::memory {

/// Largest machine we lay out. Mapping is free, but page tables and bitmaps grow with it, and an
/// annotation can ask for any number.
inline constexpr byte_count max_ram = gib(1024);
/// Most hot-plug windows of one machine: each is a memory slot and a region to search.
inline constexpr std::size_t max_hot_plug_windows = 16;

/// The hole for devices below 4 GiB: RAM that does not fit below low_end goes on at high_start.
/// Both are multiples of 2 MiB.
struct memory_layout {
  gpa low_end = gib(3);
  gpa high_start = gib(4);
};

/// One piece of the file behind a guest's memory and where the guest sees it.
struct placed_piece {
  gpa base = 0;
  byte_count size = 0;
  byte_count fd_offset = 0;
  friend bool operator==(const placed_piece&, const placed_piece&) = default;
};

/// The pieces of a machine's memory in one file.
struct memory_map {
  /// RAM the guest boots with, lowest first: one piece, or two around the hole.
  std::vector<placed_piece> boot;
  /// Hot-plug windows in the caller's order: address space and file, but no page until it is used.
  std::vector<placed_piece> windows;
  /// Bytes the file must have.
  byte_count file_size = 0;
};

/// Lays `size` bytes of RAM and the windows out. Every piece has fd_offset and base congruent
/// modulo 2 MiB, so one huge page of the file is one of the guest.
/// invalid_argument names the field: `size` zero, not in 4 KiB pages or over max_ram; a crooked
/// layout; windows that are empty, not in 2 MiB, over max_ram, too many, in the hole or overlapping
/// RAM or each other.
[[nodiscard]] outcome<memory_map> lay_out(byte_count size, const memory_layout& layout,
                                          std::span<const extent> windows = {});

} // namespace troupe::memory
