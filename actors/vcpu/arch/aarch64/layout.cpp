#include "actors/vcpu/arch/aarch64/layout.hpp"

namespace troupe::aarch64::layout {

std::vector<memory::address_range> ram(byte_count size) {
  return {{ram_start, size}};
}

gpa device_tree(byte_count size) noexcept {
  return memory::round_down(ram_start + size - device_tree_size, device_tree_size);
}

} // namespace troupe::aarch64::layout
