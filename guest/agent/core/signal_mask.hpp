#pragma once

#include <string_view>

namespace troupe::guest {

/// Whether a process blocks, ignores or handles a signal, by the SigBlk, SigIgn and SigCgt lines of
/// its /proc/PID/status. False for an empty text: it is gone.
[[nodiscard]] bool takes_signal(std::string_view status, int signal) noexcept;

} // namespace troupe::guest
