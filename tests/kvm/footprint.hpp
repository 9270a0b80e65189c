#pragma once

#include "messages/vocabulary/units.hpp"

#include <cstddef>
#include <ostream>

namespace troupe::testing {

/// What of this process a machine takes and has to give back. Mappings are guest memory and KVM's
/// run pages, not stacks, which the C library keeps for later threads.
struct footprint {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  std::size_t mappings = 0;

  friend bool operator==(const footprint&, const footprint&) = default;
};

std::ostream& operator<<(std::ostream& to, const footprint& it);

[[nodiscard]] footprint measure();
/// Looks until it is `wanted` again, for a second: a joined thread is in /proc a little longer.
/// Returns the last look.
[[nodiscard]] footprint settled(const footprint& wanted);
/// Resident memory of the process.
[[nodiscard]] byte_count resident();

} // namespace troupe::testing
