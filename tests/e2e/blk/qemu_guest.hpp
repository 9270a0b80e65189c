#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <functional>
#include <string>
#include <vector>

namespace troupe::testing {

struct qemu_device {
  std::string words;  ///< As behind -device, without its character device.
  std::string socket; ///< Of the vhost-user back-end, listening already.
};

struct blk_guest {
  std::string kernel;
  std::string initrd;
  std::vector<qemu_device> devices;
};

/// Runs an emulated q35 machine to its end, calling `heard` with each line of its console.
/// @returns deadline_exceeded after `limit` (the machine is killed), host_io when it cannot be run.
[[nodiscard]] outcome<void> run_guest(const blk_guest& guest, milliseconds limit,
                                      const std::function<void(const std::string&)>& heard);

} // namespace troupe::testing
