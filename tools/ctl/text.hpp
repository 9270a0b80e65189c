#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <string>

namespace troupe::ctl {

/// "troupectl: run: rootfs: not_found: ..." or {"error": {...}}, one line.
[[nodiscard]] std::string failure_text(const failure& why, bool json);

/// That on standard error.
void complain(const failure& why, bool json);

/// The log on standard error: warnings and worse, or everything.
void log_to_stderr(bool everything);

} // namespace troupe::ctl
