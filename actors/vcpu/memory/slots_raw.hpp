#pragma once

#include "actors/vcpu/memory/guest_memory.hpp"

#include <cstdint>
#include <vector>

namespace troupe::memory {

/// A stretch of host memory that appears in a guest: what a memory slot of KVM is made of. The host
/// address is a number here: this is for handing to the kernel, never for reading through.
struct host_slot {
  gpa base = 0;
  byte_count size = 0;
  std::uint64_t host = 0;
  friend bool operator==(const host_slot&, const host_slot&) = default;
};

/// The slots of all that is mapped, lowest first. The addresses hold as long as `ram` lives.
/// internal: an extent is not there in one piece (a broken invariant of guest_memory).
[[nodiscard]] outcome<std::vector<host_slot>> host_slots(const guest_memory& ram);

} // namespace troupe::memory
