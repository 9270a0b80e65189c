#pragma once

#include "guest/agent/spec/plan.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

namespace troupe::guest {

struct terminal_pair {
  unique_fd master;
  unique_fd slave;
};

/// Opens a terminal of the container's own /dev/pts, so that its name means something in there
/// (`tty` works). What lies at /dev/pts/ptmx is checked to be a devpts node: the container may have
/// put anything there. The slave is opened through the master, not by name.
/// @pre the caller's root is the container's.
[[nodiscard]] outcome<terminal_pair> open_terminal(const process_plan& plan);

/// Makes the slave the controlling terminal of a new session and standard in, out and error.
[[nodiscard]] outcome<void> take_terminal(int slave, uid_t owner);

/// Lays the slave over /dev/console, which must not be a link.
[[nodiscard]] outcome<void> make_console(int slave);

} // namespace troupe::guest
