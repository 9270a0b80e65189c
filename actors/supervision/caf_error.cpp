#include "actors/supervision/caf_error.hpp"

#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>

namespace troupe::actors {

namespace {

constexpr auto our_category = caf::atom("troupe");
constexpr auto caf_category = caf::atom("system");
constexpr auto exit_category = caf::atom("exit");

failure from_sec(caf::sec code) {
  switch (code) {
  case caf::sec::request_receiver_down:
    return {errc::restarting, "the actor ended with the request in its hands", 0};
  case caf::sec::request_timeout:
    return {errc::deadline_exceeded, "no answer in time", 0};
  case caf::sec::runtime_error:
    return {errc::internal, "the handler threw an exception", 0};
  case caf::sec::unexpected_message:
    return {errc::internal, "the actor has no handler for this message", 0};
  default:
    return {errc::internal, "actor system: " + caf::to_string(code), 0};
  }
}

} // namespace

caf::error to_caf(const failure& why) {
  return {static_cast<std::uint8_t>(why.code), our_category,
          caf::make_message(why.text, static_cast<std::int32_t>(why.os_error))};
}

failure from_caf(const caf::error& why) {
  if (!why)
    return {errc::internal, "an error without a reason", 0};
  if (why.category() == our_category) {
    const auto& context = why.context();
    if (context.match_elements<std::string, std::int32_t>())
      return {static_cast<errc>(why.code()), context.get_as<std::string>(0),
              context.get_as<std::int32_t>(1)};
  }
  if (why.category() == caf_category)
    return from_sec(static_cast<caf::sec>(why.code()));
  if (why.category() == exit_category)
    return {errc::restarting, "the actor ended", 0};
  return {errc::internal, "actor system: " + caf::to_string(why), 0};
}

std::optional<failure> end_reason(const caf::error& why) {
  if (!why || why == caf::exit_reason::user_shutdown)
    return std::nullopt;
  if (why == caf::exit_reason::kill)
    return failure{errc::internal, "killed", 0};
  return from_caf(why);
}

} // namespace troupe::actors
