#include "actors/vcpu/memory/slots_raw.hpp"

namespace troupe::memory {

outcome<std::vector<host_slot>> host_slots(const guest_memory& ram) {
  std::vector<host_slot> slots;
  for (const auto& it : ram.extents()) {
    const auto bytes = ram.contiguous(it.base, it.size);
    if (!bytes)
      return fail(errc::internal, "memory slot {:#x}: {}", it.base, bytes.error().text);
    slots.push_back({it.base, it.size, reinterpret_cast<std::uint64_t>(bytes->data())});
  }
  return slots;
}

} // namespace troupe::memory
