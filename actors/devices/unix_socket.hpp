#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <string>

/// Local stream sockets between us, QEMU and the host side of vsock. All non-blocking and CLOEXEC.
namespace troupe::devices {

/// Binds and listens with mode 0600. A path that exists is the caller's to judge: fails with
/// already_exists. Paths that do not fit a socket address fail with invalid_argument.
[[nodiscard]] outcome<unique_fd> listen_unix(const std::string& path, int backlog);

/// The next waiting client, an empty descriptor when there is none. A client of another user than
/// ours or root fails with permission_denied and is hung up on.
[[nodiscard]] outcome<unique_fd> accept_unix(int listener);

/// Connects at once or fails; a full backlog counts as a failure.
[[nodiscard]] outcome<unique_fd> connect_unix(const std::string& path);

} // namespace troupe::devices
