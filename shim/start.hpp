#pragma once

#include "shim/command_line.hpp"

namespace troupe::shim {

/// containerd's `start`: finds the pod's daemon or spawns one, writes `address` and `shim.pid` into
/// the bundle (the working folder) and returns the address for standard output. On failure nothing
/// is left behind.
[[nodiscard]] outcome<std::string> start(const command_line& line);

/// The id that names the pod: the sandbox id of a container that joins one, else `own`.
/// @param bundle the folder of config.json; an unreadable one is no error here, Create will name
/// it.
[[nodiscard]] std::string pod_of(const std::string& bundle, const container_id& own);

/// The binary that runs now, whatever argv[0] says.
[[nodiscard]] outcome<std::string> own_executable();

} // namespace troupe::shim
