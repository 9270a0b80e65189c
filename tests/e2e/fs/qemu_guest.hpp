#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <functional>
#include <string>

namespace troupe::testing {

struct qemu_guest {
  std::string kernel;
  std::string initrd;
  std::string command_line; ///< Added to what a quiet boot needs.
  std::string socket;       ///< Of the vhost-user-fs back-end, listening already.
  unsigned processors = 1;
};

/// Runs an emulated q35 machine to its end, calling `heard` with each line of its console.
/// @returns deadline_exceeded after `limit` (the machine is killed), host_io when it cannot be run.
[[nodiscard]] outcome<void> run_guest(const qemu_guest& guest, milliseconds limit,
                                      const std::function<void(const std::string&)>& heard);

} // namespace troupe::testing
