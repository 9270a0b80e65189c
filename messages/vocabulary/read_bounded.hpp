#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <string>
#include <string_view>

namespace troupe {

/// What `fd` gives from its position on to its end, or until there are more than `most` bytes: what
/// that means is the caller's to say. host_io, which names `what` ("read standard input").
[[nodiscard]] outcome<std::string> read_bounded(int fd, std::size_t most, std::string_view what);

} // namespace troupe
