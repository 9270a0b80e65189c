#pragma once

#include "config/config.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <map>
#include <string>
#include <vector>

namespace troupe::config {

/// What the host has; the ceiling of what a pod may ask for.
struct host_limits {
  std::uint32_t cpus = 1;
  std::uint64_t memory_mib = 0;
};

using annotation_map = std::map<std::string, std::string, std::less<>>;

/// Lays a pod's annotations `io.katacontainers.config.*` and `io.troupe.config.*` over `values`.
/// Annotations are an attacker's input: nothing counts unless the file's `enable_annotations`
/// allows it, host paths also need a glob in the matching `valid_*_paths`, sizes have ceilings, and
/// there is no key that reaches a command line unparsed. Those of a hypervisor count for the table
/// that runtime.hypervisor_name chooses (by annotation, if that is allowed); with "auto" for each
/// table that takes them, and a table that does not is a warning unless none does.
/// @returns warnings (allowed keys that we do not know or support); permission_denied or
///   invalid_argument that lists every refused annotation, `values` then being unchanged.
[[nodiscard]] outcome<std::vector<std::string>>
apply_annotations(config& values, const annotation_map& annotations, const host_limits& host);

} // namespace troupe::config
