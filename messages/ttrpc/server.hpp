#pragma once

#include "messages/ttrpc/channel.hpp"
#include "messages/ttrpc/envelope.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <asio/io_context.hpp>

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace troupe::ttrpc {

/// Who is on the other end of a unix socket (SO_PEERCRED).
struct peer_credentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

/// One call, for its handler.
struct request {
  std::string service{};
  std::string method{};
  std::string payload{};
  ttrpc::metadata metadata{};
  /// When the caller stops listening; time_point::max() without one.
  time_point deadline = time_point::max();
  /// Counts connections from 1; never reused.
  std::uint64_t connection = 0;
  /// Nothing for sockets without credentials (AF_VSOCK).
  std::optional<peer_credentials> peer{};

  /// The first value of a key, or empty.
  [[nodiscard]] std::string_view find(std::string_view key) const noexcept;
};

class connection;

/// The right to answer one call, once, from any thread. Dropped unsent it answers `internal`: a
/// caller never waits for an actor that died. An answer after the call's deadline, or to a peer
/// that left, is dropped.
class reply {
public:
  reply(std::weak_ptr<connection> to, std::uint32_t stream, std::uint64_t serial) noexcept
      : to_(std::move(to)), stream_(stream), serial_(serial) {}
  reply(reply&& other) noexcept = default;
  reply& operator=(reply&&) = delete;
  ~reply();

  /// The serialized response message, or why there is none.
  void send(outcome<std::string> answer) &&;

private:
  void deliver(outcome<std::string> answer);

  std::weak_ptr<connection> to_; ///< Empty once moved from or sent.
  std::uint32_t stream_;
  std::uint64_t serial_; ///< A peer may use a stream id again; this tells the calls apart.
};

/// Runs on the server's strand and must not block: it starts the work and lets go.
using handler = std::function<void(request, reply)>;

struct server_options {
  /// In log lines: "task server".
  std::string name = "ttrpc server";
  /// A peer that keeps connecting must not use up our descriptors.
  std::size_t max_connections = 256;
  /// Calls in flight on one connection. A peer that never waits for answers is told to.
  std::size_t max_in_flight = 1024;
  /// Bytes of requests in flight on one connection: max_in_flight times 4 MiB would be 4 GiB.
  byte_count max_in_flight_bytes = mib(64);
  /// Answers queued for a peer that does not read; beyond it the connection is closed.
  byte_count max_unsent_bytes = mib(64);
  /// How long calls in flight may go on once the peer closed its sending half. Peers that are gone
  /// look the same on AF_VSOCK, so it must end.
  milliseconds half_close_grace = seconds{10};
  /// Whether this peer may connect; absent: everybody. Peers without credentials are not asked
  /// about.
  std::function<bool(const peer_credentials&)> accept_if{};
};

/// The answering side: a table of methods, any number of connections. It owns listener,
/// connections, partial frames and pending replies, so that none of them is lost with the actor
/// behind a handler. The io_context must outlive it. Thread rule: add() before listen() and
/// serve(); the rest from any thread.
class server {
public:
  server(asio::io_context& io, server_options options);
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  /// Closes everything at once.
  ~server();

  void add(std::string service, std::string method, handler handle);

  /// Accepts on a socket that is bound and listens already (AF_UNIX or AF_VSOCK).
  /// @returns host_io when the socket cannot be watched.
  outcome<void> listen(unique_fd listening);

  /// Serves an accepted connection.
  void serve(stream_socket accepted);

  /// Stops accepting; calls that come now are answered `restarting`; those in flight get `drain` to
  /// finish, then every connection is closed and `done` is called on the io thread.
  void stop(milliseconds drain, std::function<void()> done);

  class core;

private:
  std::shared_ptr<core> core_;
};

} // namespace troupe::ttrpc
