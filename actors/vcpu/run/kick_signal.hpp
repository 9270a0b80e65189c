#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <sys/types.h>

namespace troupe::vcpu {

/// The signal that brings a processor's thread out of the guest: the first real-time signal.
[[nodiscard]] int kick_signal() noexcept;

/// Gives it a handler that does nothing, once per process: interrupting KVM_RUN is all it is for.
/// failed_precondition: the program has another use for the signal.
[[nodiscard]] outcome<void> prepare_kick_signal();

/// Blocks every signal on the calling thread but this one.
void allow_only_kick_signal() noexcept;

/// Sends it to a thread of this process, which must be alive.
void kick(pid_t thread) noexcept;

} // namespace troupe::vcpu
