#include "actors/vcpu/arch/x86_64/layout.hpp"

#include <algorithm>

namespace troupe::x86_64::layout {

std::vector<memory::address_range> ram(byte_count size) {
  std::vector<memory::address_range> found{{0, std::min<byte_count>(size, hole)}};
  if (size > hole)
    found.push_back({hole_end, size - hole});
  return found;
}

gpa hotplug_ram(byte_count size) {
  return memory::round_up(std::max<gpa>(ram(size).back().end(), hole_end), hotplug_ram_alignment);
}

} // namespace troupe::x86_64::layout
