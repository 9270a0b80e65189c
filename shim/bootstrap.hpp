#pragma once

#include "messages/vocabulary/ids.hpp"

#include <string>
#include <string_view>

namespace troupe::shim {

/// Most bytes `start` takes on its standard input; options and bootstrap parameters are far
/// smaller.
inline constexpr std::size_t max_bootstrap_input = 1 << 20;

/// Reads a descriptor to its end. resource_exhausted: more than max_bootstrap_input bytes.
[[nodiscard]] outcome<std::string> read_to_end(int fd);

/// Checks what containerd wrote: nothing, an Any with runtime options (up to 2.2), or
/// BootstrapParams (2.3 on). The options come again with CreateTask and are judged there.
/// invalid_argument: neither, or parameters for another id.
[[nodiscard]] outcome<void> check_bootstrap_input(std::string_view bytes, const container_id& id);

} // namespace troupe::shim
