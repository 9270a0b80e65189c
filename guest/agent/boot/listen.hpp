#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace troupe::guest {

struct vsock_address {
  std::uint32_t cid = 0;
  std::uint32_t port = 0;
  friend bool operator==(const vsock_address&, const vsock_address&) = default;
};

/// `path` starts with '@' for a name in the abstract space.
struct unix_address {
  std::string path;
  friend bool operator==(const unix_address&, const unix_address&) = default;
};

using server_address = std::variant<vsock_address, unix_address>;

/// `vsock://CID:PORT` (CID -1 is any), `unix:///PATH`, `unix://@NAME`.
[[nodiscard]] outcome<server_address> parse_server_address(std::string_view text);

/// A bound, listening, non-blocking stream socket. A stale unix socket file is replaced.
[[nodiscard]] outcome<unique_fd> listen_on(const server_address& where, int backlog);

/// For the log: "vsock 1024", "unix /run/a.sock".
[[nodiscard]] std::string describe(const server_address& where);

} // namespace troupe::guest
