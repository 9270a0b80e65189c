#pragma once

#include "messages/vocabulary/log.hpp"

#include <string>

namespace troupe::shim {

/// Sends the log to containerd through the bundle's `log` fifo, in the line form containerd's own
/// log has. Never blocks: when nobody reads for long, lines are dropped and the next one that fits
/// tells how many. Without a fifo at `path` (CRI-O, a test) the log goes to standard error.
void log_to(const std::string& path);

} // namespace troupe::shim
