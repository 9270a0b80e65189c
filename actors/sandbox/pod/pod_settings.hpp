#pragma once

#include "config/config.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <string>
#include <vector>

namespace troupe::pod {

struct settings {
  config::config values;
  /// For the log: unknown keys, annotations that do not count.
  std::vector<std::string> warnings;
};

/// The configuration of one pod: files, then the annotations of its bundle.
/// @param config_path of the runtime options, or empty; `bundle` may be empty (no annotations).
/// invalid_argument lists every violation. Blocks on the file system.
[[nodiscard]] outcome<settings> read_settings(const std::string& config_path,
                                              const std::string& bundle);

} // namespace troupe::pod
