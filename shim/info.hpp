#pragma once

#include <string>

namespace troupe::shim {

/// The runtime type by which containerd finds the binary.
inline constexpr const char* runtime_type = "io.containerd.troupe.v2";

/// One line for `-v`: program, runtime type, version.
[[nodiscard]] std::string version_line();

/// RuntimeInfo for `-info` (containerd 2.x), serialized.
[[nodiscard]] std::string runtime_info();

} // namespace troupe::shim
