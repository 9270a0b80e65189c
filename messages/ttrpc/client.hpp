#pragma once

#include "messages/ttrpc/channel.hpp"
#include "messages/ttrpc/envelope.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <functional>
#include <memory>
#include <string>

namespace troupe::ttrpc {

struct client_options {
  /// Who the peer is, in failure texts: "agent", "containerd events".
  std::string peer = "ttrpc peer";
  /// What pending and later calls fail with once the connection ended: agent_gone for a guest
  /// agent.
  errc closed = errc::peer_fault;
  /// What they fail with when the peer breaks the protocol: guest_fault for a guest agent.
  errc garbage = errc::peer_fault;
  /// Called once on the io thread when the connection ends without our doing; pending calls have
  /// failed by then.
  std::function<void(const failure&)> on_closed{};
};

/// The calling side of one connection. Any number of calls is in flight (up to
/// max_calls_in_flight), answers come in any order.
///
/// Every callback is called exactly once, on the io thread, never from within call(). Failures:
/// what the peer answered (its code, its text; which call it was, its caller knows);
/// deadline_exceeded; resource_exhausted for a request over 4 MiB; cancelled when the client is
/// destroyed first; client_options::closed and ::garbage. The io_context must outlive the client.
/// Members may be called from any thread.
class client {
public:
  using callback = std::function<void(outcome<std::string>)>;

  /// Calls waiting for an answer. More than any pod needs; a runaway caller is told instead of
  /// growing.
  static constexpr std::size_t max_calls_in_flight = 4096;

  /// Requests queued for a peer that does not read; further calls are refused.
  static constexpr byte_count max_unsent_bytes = mib(64);

  /// Takes over a connected socket and starts to read.
  client(stream_socket socket, client_options options);
  client(client&&) noexcept = default;
  client& operator=(client&&) = delete;
  ~client();

  /// The answer's payload, or why there is none. The timeout counts from now and is also told the
  /// peer; after it the call is only forgotten here: a late answer is dropped.
  void call(call_request request, callback done) const;

  /// Fails what is pending with `cancelled` and closes. Harmless to repeat.
  void close() const;

private:
  class core;
  std::shared_ptr<core> core_;
};

} // namespace troupe::ttrpc
