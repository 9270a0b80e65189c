#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe::vsock {

/// Longest line a host client may send before its connection exists, newline included.
inline constexpr std::size_t connect_line_max = 32;

/// The port of a line "CONNECT <port>", without its newline; the keyword in any case, one blank, a
/// decimal number of 32 bits and nothing else. peer_fault otherwise.
[[nodiscard]] outcome<std::uint32_t> parse_connect(std::string_view line);

} // namespace troupe::vsock
