#include "actors/vcpu/kvm/slot_table.hpp"

#include <limits>

namespace troupe::kvm {
namespace {

constexpr byte_count page = kib(4);
constexpr auto address_max = std::numeric_limits<gpa>::max();

} // namespace

outcome<std::uint32_t> slot_table::add(const memory::host_slot& slot) {
  if (slot.size == 0 || (slot.base | slot.size | slot.host) % page != 0)
    return fail(errc::invalid_argument,
                "memory slot {:#x}: {:#x} bytes at host {:#x}: not in pages", slot.base, slot.size,
                slot.host);
  if (slot.size > address_max - slot.base || slot.size > address_max - slot.host)
    return fail(errc::invalid_argument, "memory slot {:#x}: {:#x} bytes wrap around", slot.base,
                slot.size);
  std::uint32_t id = 0;
  for (const auto& [taken, other] : slots_) {
    if (slot.base < other.base + other.size && other.base < slot.base + slot.size)
      return fail(errc::invalid_argument, "memory slot {:#x}: {:#x} bytes overlap slot {:#x}",
                  slot.base, slot.size, other.base);
    if (taken == id)
      ++id;
  }
  if (id >= most_)
    return fail(errc::resource_exhausted, "memory slots: all {} are taken", most_);
  slots_.emplace(id, slot);
  return id;
}

outcome<memory::host_slot> slot_table::remove(std::uint32_t id) {
  const auto it = slots_.find(id);
  if (it == slots_.end())
    return fail(errc::not_found, "memory slot {}: there is none", id);
  const auto slot = it->second;
  slots_.erase(it);
  return slot;
}

} // namespace troupe::kvm
