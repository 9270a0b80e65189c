#pragma once

#include "shim/command_line.hpp"

namespace troupe::shim {

/// containerd's `delete`, called after every disconnect: makes sure that nothing is left of the
/// container's pod when its daemon is gone. A daemon that lives and hangs is given `daemon_grace`
/// and is then killed; its journal is replayed. A container that only joined a pod leaves the pod
/// alone.
/// @returns a serialized DeleteResponse for standard output.
[[nodiscard]] outcome<std::string> remove(const command_line& line);

/// containerd itself waits 5 s for `delete`.
inline constexpr int daemon_grace_ms = 2000;

} // namespace troupe::shim
