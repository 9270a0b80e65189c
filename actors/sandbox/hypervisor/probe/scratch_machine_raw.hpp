#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstdint>

namespace troupe::hypervisor {

struct scratch_result {
  /// Million instructions a second of a loop in guest kernel mode, the best of a few tries.
  double mips = 0;
  /// KVM stopped at POPCNT, which every kernel of today uses: it emulates, and not everything.
  bool refuses_instructions = false;
  /// Clock of the guest's processor, in kHz; 0 where KVM does not say.
  std::uint32_t tsc_khz = 0;
};

/// Makes a machine of one page and one processor, without an interrupt controller (that would cost
/// milliseconds), runs a loop in it and drops it.
/// not_found: no /dev/kvm; host_io names the call that failed; peer_fault: an exit nobody expects.
[[nodiscard]] outcome<scratch_result> run_scratch_machine();

} // namespace troupe::hypervisor
