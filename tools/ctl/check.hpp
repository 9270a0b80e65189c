#pragma once

#include "config/config.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::ctl {

enum class verdict : std::uint8_t {
  good,
  optional, ///< missing or slow, but a pod runs without it
  missing,  ///< no pod runs without it
};

/// One thing a pod needs, or is better off with.
struct finding {
  std::string what;
  verdict result = verdict::good;
  /// What was seen.
  std::string text;
  /// What would help: a Debian package or a step; empty when all is well.
  std::string help;

  friend bool operator==(const finding&, const finding&) = default;
};

/// Looks at this host. Makes and removes nothing but short-lived descriptors and the probe's
/// scratch machine.
/// @param config path of a configuration file, or empty for the search list.
[[nodiscard]] std::vector<finding> look_at_host(const std::string& config);

/// The files that the tables of both hypervisors name. What is not there is missing for the one
/// that is `needed` (as in choice::hypervisor; empty = none) and optional for the other.
[[nodiscard]] std::vector<finding> hypervisor_files(const config::config& values,
                                                    std::string_view needed);

/// Whether a pod could run.
[[nodiscard]] bool can_run(const std::vector<finding>& all);

/// A line each, and how it ends; or one JSON object.
[[nodiscard]] std::string check_text(const std::vector<finding>& all, bool json);

} // namespace troupe::ctl
