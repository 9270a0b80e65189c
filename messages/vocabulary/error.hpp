#pragma once

#include <cstdint>
#include <string_view>

namespace troupe {

/// Everything that can go wrong, as one closed list. A failure carries one of these and a text that
/// names the field or the stage. `docs/errors.md` tells what each means to a caller.
///
/// Why a closed list: containerd decides by gRPC code what to do next (NOT_FOUND of a Delete means
/// "gone", UNAVAILABLE means "try again"), so a new kind of failure needs a decision, not a
/// default.
enum class errc : std::uint8_t {
  invalid_argument = 1, ///< The caller's input is wrong; the text names the field.
  not_found,            ///< No such sandbox, container, process or file.
  already_exists,       ///< That identity is taken.
  failed_precondition,  ///< Legal request, wrong state.
  deadline_exceeded,    ///< A named stage outlived its deadline.
  cancelled,            ///< The caller went away or the work was called off.
  permission_denied,    ///< Policy or credentials forbid it.
  resource_exhausted,   ///< A named cap was reached.
  unimplemented,        ///< This build or peer cannot do it.
  restarting,           ///< The actor that answers is being restarted; retryable.
  agent_gone,           ///< The connection to the guest agent is lost.
  machine_gone,         ///< The virtual machine ended.
  guest_fault,          ///< The guest lied: a malformed ring, request or reply.
  peer_fault,           ///< A host-side peer broke its protocol (containerd, QEMU, a helper).
  host_io,              ///< The host failed: a system call, a full disk, a missing device.
  corrupt,              ///< Stored bytes do not check out (journal, state file).
  internal,             ///< A broken invariant of ours.
};

/// The number of error codes; codes are 1 ... errc_count.
inline constexpr std::uint8_t errc_count = static_cast<std::uint8_t>(errc::internal);

/// Numbers of google.rpc.Code, the only status numbers that cross ttRPC.
enum class grpc_code : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

/// Short snake_case name, as in logs: "invalid_argument". Never empty.
[[nodiscard]] std::string_view name(errc code) noexcept;

/// One plain sentence for an operator who has only the code. Never empty.
[[nodiscard]] std::string_view explain(errc code) noexcept;

/// What a ttRPC peer is told. Never grpc_code::unknown and never ok.
[[nodiscard]] grpc_code to_grpc(errc code) noexcept;

/// The reverse, for answers of a peer: unknown numbers become peer_fault.
[[nodiscard]] errc from_grpc(std::int32_t code) noexcept;

/// Whether the same request may be sent again and can succeed without any change.
[[nodiscard]] bool retryable(errc code) noexcept;

} // namespace troupe
