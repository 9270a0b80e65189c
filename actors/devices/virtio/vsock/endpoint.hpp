#pragma once

#include "actors/devices/virtio/vsock/muxer.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <memory>
#include <string>

namespace troupe::vsock {

/// What a machine keeps of its vsock while device logic comes and goes: the listening socket for
/// host clients, and which connections the guest believes in. Lent to one device at a time.
struct endpoint {
  /// Listens at `path` (0600); clients that come before the guest is up wait in the backlog. The
  /// file goes with the object.
  [[nodiscard]] static outcome<std::shared_ptr<endpoint>> listen(std::string path);

  endpoint() = default;
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;
  ~endpoint();

  /// Guest connections to host port P go to the socket "<path>_P".
  std::string path;
  unique_fd listener;
  muxer_ledger ledger;
};

} // namespace troupe::vsock
