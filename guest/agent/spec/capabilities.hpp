#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <string_view>

namespace troupe::guest {

/// A set of capabilities, one bit each (bit n is capability n of <linux/capability.h>).
using capability_mask = std::uint64_t;

/// The five sets of a process (capabilities(7)).
struct capability_sets {
  capability_mask bounding = 0;
  capability_mask effective = 0;
  capability_mask inheritable = 0;
  capability_mask permitted = 0;
  capability_mask ambient = 0;
};

/// The number behind a name: "CAP_KILL", "KILL" or either in JSON quotes, any case.
/// @returns invalid_argument that quotes the name.
[[nodiscard]] outcome<unsigned> parse_capability(std::string_view name);

/// Number of capabilities known here; the kernel may know fewer.
inline constexpr unsigned capability_count = 41;

} // namespace troupe::guest
