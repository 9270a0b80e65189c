#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::ctl {

struct process_order {
  std::vector<std::string> args;
  /// KEY=VALUE; later ones replace earlier ones of the same key.
  std::vector<std::string> env;
  std::string cwd = "/";
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool terminal = false;
};

/// The OCI process object, as containerd makes it by default: its capabilities, no new privileges.
[[nodiscard]] std::string process_json(const process_order& from);

/// A whole config.json: containerd's default namespaces, mounts, masked paths and devices.
/// @param rootfs absolute path of a folder.
[[nodiscard]] std::string bundle_json(const process_order& from, const std::string& rootfs,
                                      const std::string& hostname);

/// Writes `folder`/config.json (0600), which must not exist. host_io.
[[nodiscard]] outcome<void> write_bundle(const std::string& folder, const std::string& json);

} // namespace troupe::ctl
