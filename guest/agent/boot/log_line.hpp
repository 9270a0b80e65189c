#pragma once

#include "messages/vocabulary/log.hpp"
#include "messages/vocabulary/units.hpp"

#include <string>
#include <string_view>

namespace troupe::guest {

/// Version that Version, GetGuestDetails and every log line tell.
inline constexpr std::string_view agent_version = "0.1.0";

/// Longest text of one log line; a longer one is cut. Texts quote what containers and callers sent.
inline constexpr std::size_t max_log_text = 4096;

/// One record as a JSON object and a line feed, in the form kata-agent writes: msg, level (TRCE,
/// DEBG, INFO, WARN, ERRO), ts (RFC 3339, nanoseconds, UTC), version, pid, name, source, subsystem.
[[nodiscard]] std::string format_log_line(const log::record& what, wall_time when, int pid);

} // namespace troupe::guest
