#pragma once

#include "actors/supervision/caf_error.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/make_message.hpp>
#include <caf/replies_to.hpp>
#include <caf/result.hpp>
#include <caf/typed_actor.hpp>

/// Allows a type to travel between actors of one process. At global scope, after the type is
/// complete. The type must be copyable; what cannot be copied (a descriptor) travels in a
/// shared_ptr.
#define TROUPE_LOCAL_MESSAGE(type) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(type)

namespace troupe::actors {

/// The interface of an actor, and the type of a handle to it:
/// `using agent_actor = protocol<request<start_process, process_started>, notice<stream_broke>>;`
/// A handler's parameter is `const Message&`, exactly; anything else does not compile.
template <class... Messages>
using protocol = caf::typed_actor<Messages...>;

/// A command that is answered, always: with Result or with a failure. Result may be void.
template <class Message, class Result>
using request = typename caf::replies_to<Message>::template with<Result>;

/// A statement nobody answers.
template <class Message>
using notice = caf::reacts_to<Message>;

/// What the handler of a request returns: an answer now, or a reply_guard's promise of one.
template <class T>
using answer = caf::result<T>;

/// The answer that says what `value` says.
template <class T>
[[nodiscard]] answer<T> give(outcome<T> value) {
  if (!value)
    return to_caf(std::move(value).error());
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return answer<T>{std::move(*value)};
}

/// `return refuse(errc::not_found, "container {}", id);` from a handler.
template <class... Args>
[[nodiscard]] caf::error refuse(errc code, fmt::format_string<Args...> text, Args&&... args) {
  return to_caf(failure{code, fmt::format(text, std::forward<Args>(args)...), 0});
}

} // namespace troupe::actors
