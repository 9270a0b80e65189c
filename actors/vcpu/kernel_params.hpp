#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <string>

namespace troupe {

/// How a KVM runs the guest's kernel mode.
enum class kvm_kind {
  hardware,  ///< on the processor
  emulating, ///< instruction by instruction, with some refused; the guest needs vmlinux-emulated
};

/// Words for the guest's kernel command line that this kind of KVM needs besides those of every
/// machine; empty for hardware. `tsc_khz` is the clock of its processor, which is the host's; 0:
/// unknown. Pure. failed_precondition: an emulated guest cannot measure its clock, and there is
/// none to tell it. See docs/guest_kernel.md.
[[nodiscard]] outcome<std::string> kernel_params_for(kvm_kind kind, std::uint32_t tsc_khz);

} // namespace troupe
