#pragma once

#include "actors/vcpu/memory/address_range.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <vector>

namespace troupe::boot {

/// The numbers of E820, which PVH uses too.
enum class memory_kind : std::uint32_t { ram = 1, reserved = 2 };

/// What the guest is told about a range of its addresses.
struct map_entry {
  memory::address_range range;
  memory_kind kind = memory_kind::ram;
  friend bool operator==(const map_entry&, const map_entry&) = default;
};

/// Room for the boot structures, the first MiB's reserved half, and a very small payload.
inline constexpr byte_count min_ram = mib(2);
/// More than that a typing error asks for; KVM's slots could do it.
inline constexpr byte_count max_ram = gib(1024);

/// Ascending and disjoint. Reserved are what we keep for tables below 1 MiB, and the interrupt
/// controllers with KVM's own pages at the end of the hole; device registers are in no entry.
///
/// invalid_argument: `ram` is not in whole pages, under min_ram or over max_ram.
[[nodiscard]] outcome<std::vector<map_entry>> memory_map(byte_count ram);

} // namespace troupe::boot
