#pragma once

#include "actors/container/oci/parse.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <string>

namespace troupe::oci {

struct bundle {
  /// O_PATH of the bundle's folder.
  unique_fd folder;
  std::string path;
  grpc::Spec spec;
};

/// Opens the bundle at `path` (absolute) and reads its config.json.
/// @returns invalid_argument naming the field (path, config.json and the place in it, root.path),
/// or
///   host_io. A root.path that leads out of the bundle by `..` or a symlink is refused.
/// Blocks on the file system. Any thread.
[[nodiscard]] outcome<bundle> open_bundle(const std::string& path);

/// The directory that root.path names, for a container without root file system mounts (Docker):
/// beneath the bundle without any symlink if it is relative; if it is absolute, its last component
/// is no symlink. O_PATH descriptor.
/// @returns invalid_argument naming root.path: missing, no directory, leads out of the bundle.
[[nodiscard]] outcome<unique_fd> open_root(const bundle& from);

} // namespace troupe::oci
