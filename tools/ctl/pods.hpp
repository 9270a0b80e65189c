#pragma once

#include "actors/sandbox/journal/sweep.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <string>
#include <vector>

namespace troupe::ctl {

/// Name of a pod's socket within its folder, when `troupectl run` serves it.
inline constexpr const char* door_name = "task.sock";

/// Where the folders of all pods are.
[[nodiscard]] std::string pods_root();

/// One pod as its journal tells.
struct pod_row {
  std::string name; ///< of its folder
  pid_t pid = 0;    ///< who keeps it; 0 when the journal cannot be read
  bool alive = false;
  std::size_t effects = 0; ///< not undone yet
  /// Why the journal could not be read; empty when it could.
  std::string problem;

  friend bool operator==(const pod_row&, const pod_row&) = default;
};

/// All pods, by name; changes nothing. A missing folder is an empty list. host_io.
[[nodiscard]] outcome<std::vector<pod_row>> list_pods(const std::string& root);

/// A table with a head line, or one JSON array.
[[nodiscard]] std::string pods_text(const std::vector<pod_row>& rows, bool json);
[[nodiscard]] std::string sweep_text(const std::vector<journal::swept>& rows, bool json);

/// The socket on which the pod's Task service answers: of `troupectl run`, or of a shim's daemon.
/// not_found; invalid_argument: no name of a pod.
[[nodiscard]] outcome<std::string> door_of(const std::string& pod);

} // namespace troupe::ctl
