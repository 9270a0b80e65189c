#include "actors/vcpu/machine/ending.hpp"

#include <array>

namespace troupe::vcpu {

std::string_view name(machine_end why) noexcept {
  constexpr std::array<std::string_view, 7> names{"asked", "power off", "reset", "panic",
                                                  "fault", "exit code", "failed"};
  const auto index = static_cast<std::size_t>(why);
  return index < names.size() ? names[index] : "unknown";
}

ending ending_of(const vcpu_end& processor) {
  switch (processor.reason) {
  case end_reason::asked:
    return {machine_end::asked, processor.text};
  case end_reason::shutdown:
    return {machine_end::fault, processor.text};
  case end_reason::system_event:
    return {machine_end::reset, processor.text};
  default:
    return {machine_end::failed, processor.text};
  }
}

bool end_record::record(ending how) {
  {
    const std::lock_guard lock{mutex_};
    if (how_)
      return false;
    how_ = how;
    over_.store(true, std::memory_order_release);
  }
  if (tell_)
    tell_(how);
  return true;
}

std::optional<ending> end_record::how() const {
  const std::lock_guard lock{mutex_};
  return how_;
}

} // namespace troupe::vcpu
