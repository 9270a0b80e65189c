#include "actors/vcpu/memory/layout.hpp"

#include <algorithm>

namespace troupe::memory {
namespace {

constexpr byte_count page = kib(4);
// Guest-physical addresses that any processor of the last decade has; keeps every sum below exact.
constexpr gpa address_end = gpa{1} << 46;

constexpr bool overlap(gpa base, byte_count size, gpa other, byte_count other_size) {
  return base < other + other_size && other < base + size;
}

outcome<void> check_sizes(byte_count size, const memory_layout& layout) {
  if (layout.low_end == 0 || layout.low_end % huge_page != 0 ||
      layout.high_start % huge_page != 0 || layout.high_start < layout.low_end ||
      layout.high_start > address_end)
    return fail(errc::invalid_argument, "memory layout: hole [{:#x}, {:#x})", layout.low_end,
                layout.high_start);
  if (size == 0 || size % page != 0 || size > max_ram)
    return fail(errc::invalid_argument, "memory size: {:#x} is not 1 page ... {:#x} in 4 KiB pages",
                size, max_ram);
  return {};
}

outcome<void> check_window(const extent& it, const memory_layout& layout, const memory_map& map) {
  if (it.size == 0 || it.size > max_ram || it.size % huge_page != 0 || it.base % huge_page != 0 ||
      it.base > address_end)
    return fail(errc::invalid_argument, "hot-plug window {:#x}: {:#x} bytes, not in whole 2 MiB",
                it.base, it.size);
  if (overlap(it.base, it.size, layout.low_end, layout.high_start - layout.low_end))
    return fail(errc::invalid_argument, "hot-plug window {:#x}: {:#x} bytes reach into the hole",
                it.base, it.size);
  const auto taken = [&](const placed_piece& other) {
    return overlap(it.base, it.size, other.base, other.size);
  };
  if (std::ranges::any_of(map.boot, taken) || std::ranges::any_of(map.windows, taken))
    return fail(errc::invalid_argument, "hot-plug window {:#x}: {:#x} bytes overlap other memory",
                it.base, it.size);
  return {};
}

constexpr byte_count whole_huge_pages(byte_count size) {
  return (size + huge_page - 1) / huge_page * huge_page;
}

} // namespace

outcome<memory_map> lay_out(byte_count size, const memory_layout& layout,
                            std::span<const extent> windows) {
  TRY(check_sizes(size, layout));
  if (windows.size() > max_hot_plug_windows)
    return fail(errc::invalid_argument, "hot-plug windows: {} are over {}", windows.size(),
                max_hot_plug_windows);
  memory_map map;
  const auto low = std::min(size, layout.low_end);
  map.boot.push_back({0, low, 0});
  if (size > low)
    map.boot.push_back({layout.high_start, size - low, low});
  map.file_size = size;
  for (const auto& it : windows) {
    TRY(check_window(it, layout, map));
    const auto offset = whole_huge_pages(map.file_size);
    map.windows.push_back({it.base, it.size, offset});
    map.file_size = offset + it.size;
  }
  return map;
}

} // namespace troupe::memory
