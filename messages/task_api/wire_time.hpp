#pragma once

#include "messages/vocabulary/units.hpp"

#include "wellknown.pb.h"

namespace troupe::task_api {

/// Nanoseconds are never negative on the wire, also before 1970.
inline void set_time(troupe::wire::Timestamp* to, wall_time at) {
  const auto since = at.time_since_epoch();
  const auto whole = std::chrono::floor<std::chrono::seconds>(since);
  to->set_seconds(whole.count());
  const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(since - whole);
  to->set_nanos(static_cast<std::int32_t>(rest.count()));
}

} // namespace troupe::task_api
