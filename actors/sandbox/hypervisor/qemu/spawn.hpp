#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

namespace troupe::hypervisor::qemu {

/// First descriptor number that `inherited` gets in the child.
inline constexpr int first_inherited_fd = 3;

struct child {
  pid_t pid = 0;
  /// Readable when the process has ended; what waitid(P_PIDFD) takes.
  unique_fd pidfd;
  std::uint64_t start_time = 0;
};

/// Starts argv[0] in a process group of its own: stdin /dev/null, stdout and stderr into `output`,
/// `inherited` from descriptor 3 up, everything else closed, no signal blocked or ignored.
/// No PR_SET_PDEATHSIG: it fires when the *thread* that called ends, and fx workers come and go;
/// the journal takes a surviving process away (docs/decisions). not_found: no such program;
/// host_io.
[[nodiscard]] outcome<child> spawn(const std::vector<std::string>& argv, int output,
                                   std::span<const int> inherited);

} // namespace troupe::hypervisor::qemu
