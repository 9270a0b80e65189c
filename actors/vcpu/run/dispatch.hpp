#pragma once

#include "actors/vcpu/kvm/exit.hpp"
#include "actors/vcpu/run/counters.hpp"
#include "actors/vcpu/run/exits.hpp"

#include <optional>

namespace troupe::vcpu {

/// Whether KVM finishes the instruction of this exit only in the next KVM_RUN.
[[nodiscard]] bool leaves_instruction_open(const kvm::exit_event& exit) noexcept;

/// Serves one exit: calls `io`, counts, and says why the processor must stop, if it must. Never
/// throws; what a handler throws becomes handler_failed with the port or address.
[[nodiscard]] std::optional<vcpu_end> dispatch(const kvm::exit_event& exit, io_handler& io,
                                               counters& count) noexcept;

} // namespace troupe::vcpu
