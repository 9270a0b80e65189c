#include "actors/vcpu/run/exits.hpp"

namespace troupe::vcpu {

std::string_view name(end_reason reason) noexcept {
  switch (reason) {
  case end_reason::asked:
    return "asked";
  case end_reason::handler_asked:
    return "handler_asked";
  case end_reason::handler_failed:
    return "handler_failed";
  case end_reason::shutdown:
    return "shutdown";
  case end_reason::system_event:
    return "system_event";
  case end_reason::internal_error:
    return "internal_error";
  case end_reason::refused_entry:
    return "refused_entry";
  case end_reason::hlt_without_irqchip:
    return "hlt_without_irqchip";
  case end_reason::unexpected_exit:
    return "unexpected_exit";
  case end_reason::host_error:
    return "host_error";
  case end_reason::start_failed:
    return "start_failed";
  }
  return "unknown";
}

} // namespace troupe::vcpu
