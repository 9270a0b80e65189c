#pragma once

#include "messages/vocabulary/ids.hpp"

#include <string>

/// Where a pod's things live. `start`, the daemon and `delete` are three processes that must agree
/// on it without talking, so it depends on nothing but their common arguments and environment.
namespace troupe::pod {

/// TROUPE_RUN_DIR, or /run/troupe. A folder of mode 0700.
[[nodiscard]] std::string run_root();

/// The pod's own folder: journal, device sockets. Removed when the pod ends. Two containerds on one
/// host may use the same ids, so the folder's name holds a part of the socket's hash.
[[nodiscard]] std::string pod_directory(const std::string& address, const namespace_id& space,
                                        const std::string& group);

/// The socket that containerd dials: a hash, since a path of a socket holds 107 bytes at most.
/// @param address containerd's gRPC address.
[[nodiscard]] std::string socket_path(const std::string& address, const namespace_id& space,
                                      const std::string& group);

/// Makes run_root() and the folder of sockets, mode 0700, owned by us.
/// permission_denied: one exists and belongs to somebody else or is open to others.
[[nodiscard]] outcome<void> make_run_folders();

} // namespace troupe::pod
