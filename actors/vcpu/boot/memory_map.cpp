#include "actors/vcpu/boot/memory_map.hpp"

#include "actors/vcpu/arch/x86_64/layout.hpp"

namespace troupe::boot {

namespace layout = x86_64::layout;

outcome<std::vector<map_entry>> memory_map(byte_count ram) {
  if (ram % kib(4) != 0 || ram < min_ram || ram > max_ram)
    return fail(errc::invalid_argument, "memory: {} bytes, {} to {} in whole pages are possible",
                ram, min_ram, max_ram);
  const auto ranges = layout::ram(ram);
  const auto between = [](gpa start, gpa end, memory_kind kind) {
    return map_entry{{start, end - start}, kind};
  };
  std::vector<map_entry> map{
      between(0, layout::low_ram_end, memory_kind::ram),
      between(layout::low_ram_end, layout::high_ram, memory_kind::reserved),
      between(layout::high_ram, ranges.front().end(), memory_kind::ram),
      between(layout::ioapic, layout::hole_end, memory_kind::reserved),
  };
  if (ranges.size() > 1)
    map.push_back({ranges[1], memory_kind::ram});
  return map;
}

} // namespace troupe::boot
