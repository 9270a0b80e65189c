#include "messages/vocabulary/error.hpp"

#include <array>

namespace troupe {
namespace {

struct entry {
  errc code;
  std::string_view name;
  std::string_view text;
  grpc_code grpc;
};

using enum errc;

constexpr std::array<entry, errc_count> table{{
    {invalid_argument, "invalid_argument", "the request is not valid as given",
     grpc_code::invalid_argument},
    {not_found, "not_found", "there is no such thing", grpc_code::not_found},
    {already_exists, "already_exists", "that identity is already in use",
     grpc_code::already_exists},
    {failed_precondition, "failed_precondition", "this is not possible in the present state",
     grpc_code::failed_precondition},
    {deadline_exceeded, "deadline_exceeded", "a stage took longer than its deadline",
     grpc_code::deadline_exceeded},
    {cancelled, "cancelled", "the work was called off", grpc_code::cancelled},
    {permission_denied, "permission_denied", "policy forbids it", grpc_code::permission_denied},
    {resource_exhausted, "resource_exhausted", "a limit was reached",
     grpc_code::resource_exhausted},
    {unimplemented, "unimplemented", "this cannot be done here", grpc_code::unimplemented},
    {restarting, "restarting", "the part that answers is being restarted; try again",
     grpc_code::unavailable},
    {agent_gone, "agent_gone", "the connection to the guest agent is lost",
     grpc_code::unavailable},
    {machine_gone, "machine_gone", "the virtual machine has ended", grpc_code::unavailable},
    {guest_fault, "guest_fault", "the guest broke a protocol", grpc_code::aborted},
    {peer_fault, "peer_fault", "a peer on the host broke a protocol", grpc_code::internal},
    {host_io, "host_io", "the host failed to do its part", grpc_code::internal},
    {corrupt, "corrupt", "stored bytes are damaged", grpc_code::data_loss},
    {internal, "internal", "an invariant is broken; this is a bug", grpc_code::internal},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (static_cast<std::size_t>(table[i].code) != i + 1)
      return false;
  return true;
}
static_assert(in_order(), "the table follows the enum");

const entry& of(errc code) noexcept {
  const auto index = static_cast<std::size_t>(code) - 1;
  return index < table.size() ? table[index] : table.back();
}

} // namespace

std::string_view name(errc code) noexcept { return of(code).name; }

std::string_view explain(errc code) noexcept { return of(code).text; }

grpc_code to_grpc(errc code) noexcept { return of(code).grpc; }

errc from_grpc(std::int32_t code) noexcept {
  switch (code) {
  case 1:
    return cancelled;
  case 3:
  case 11:
    return invalid_argument;
  case 4:
    return deadline_exceeded;
  case 5:
    return not_found;
  case 6:
    return already_exists;
  case 7:
  case 16:
    return permission_denied;
  case 8:
    return resource_exhausted;
  case 9:
    return failed_precondition;
  case 10:
    return guest_fault;
  case 12:
    return unimplemented;
  case 14:
    return restarting;
  case 15:
    return corrupt;
  default:
    return peer_fault;
  }
}

bool retryable(errc code) noexcept { return code == restarting; }

} // namespace troupe
