#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What stands in the body of a frame: request and response, and how a failure looks on the wire.
namespace troupe::ttrpc {

/// Lower-case keys; a key with several values is repeated.
using metadata = std::vector<std::pair<std::string, std::string>>;

/// A call as its caller states it and as the server receives it.
struct call_request {
  /// Proto package and service, "grpc.AgentService".
  std::string service{};
  /// The bare method name, "CreateContainer".
  std::string method{};
  /// The serialized request message.
  std::string payload{};
  /// Time left; 0 is no deadline.
  std::chrono::nanoseconds timeout{0};
  ttrpc::metadata metadata{};
};

[[nodiscard]] std::string encode_request(const call_request& request);

/// @returns invalid_argument for bytes that are no request.
[[nodiscard]] outcome<call_request> decode_request(std::string_view body);

/// A failure becomes its gRPC code and its text, made valid UTF-8: a Go or Rust peer drops a whole
/// response over one stray byte.
[[nodiscard]] std::string encode_response(const outcome<std::string>& answer);

/// A response as read: `answer` is what the peer said, the outer failure that it said nothing
/// readable.
/// @returns peer_fault for bytes that are no response; else the payload, or the peer's failure with
/// its code by from_grpc() and its text.
[[nodiscard]] outcome<outcome<std::string>> decode_response(std::string_view body);

/// Sends what the protobuf runtime prints on stderr (about a peer's bad bytes) to troupe::log
/// instead. Every client and server does it; harmless to repeat.
void quiet_protobuf();

} // namespace troupe::ttrpc
