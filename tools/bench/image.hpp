#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <string>

namespace troupe::bench {

/// The name under which containerd knows the image.
inline constexpr const char* image_name = "localhost/busybox:bench";

/// Writes an OCI image archive with nothing but this host's busybox, statically linked, and links
/// to it for `true`, `sleep` and `sh`. Bytes depend on busybox alone. not_found; host_io.
[[nodiscard]] outcome<void> write_image(const std::string& path);

} // namespace troupe::bench
