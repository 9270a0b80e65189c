#include "actors/sandbox/hypervisor/hypervisor.hpp"

namespace troupe::hypervisor {

std::string_view name(end_reason why) noexcept {
  switch (why) {
  case end_reason::guest_shutdown:
    return "guest shutdown";
  case end_reason::guest_reset:
    return "guest reset";
  case end_reason::guest_panic:
    return "guest panic";
  case end_reason::stopped:
    return "stopped";
  case end_reason::killed:
    return "killed";
  case end_reason::failed:
    return "failed";
  }
  return "unknown";
}

} // namespace troupe::hypervisor
