#pragma once

#include "actors/supervision/caf_error.hpp"
#include "actors/supervision/ref.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <caf/behavior.hpp>
#include <caf/response_type.hpp>
#include <caf/scheduled_actor.hpp>

#include <string>
#include <type_traits>
#include <utility>

namespace troupe::actors {

/// No wait is longer: a deadline computed wrongly must not become "for ever".
inline constexpr milliseconds max_patience{3'600'000};

namespace detail {

/// What is needed to end a wait and to say what was waited for.
struct wait {
  caf::scheduled_actor* self = nullptr;
  /// Of the answer.
  caf::message_id id;
  std::string stage;
  std::string path;
  milliseconds patience{0};

  /// Takes the deadline out of the clock. CAF leaves it in until it is due, with a reference to
  /// `self`.
  void close() const;
  [[nodiscard]] failure explain(const caf::error& why) const;
};

/// Sends `message` and starts the deadline; without a target the answer "restarting" is on its way.
void open(wait& pending, const caf::strong_actor_ptr& to, caf::message message);

template <class Outputs>
struct only;
template <class T>
struct only<caf::detail::type_list<T>> {
  using type = T;
};

template <class Handle, class Message>
using result_of = typename only<caf::response_type_t<typename Handle::signatures, Message>>::type;

template <class Result, class OnValue, class OnFailure>
caf::behavior make_handlers(const wait& pending, OnValue on_value, OnFailure on_failure) {
  auto failed = [pending, on_failure = std::move(on_failure)](caf::error& why) mutable {
    pending.close();
    on_failure(pending.explain(why));
  };
  if constexpr (std::is_void_v<Result>)
    return {[pending, on_value = std::move(on_value)]() mutable {
              pending.close();
              on_value();
            },
            std::move(failed)};
  else
    return {[pending, on_value = std::move(on_value)](Result& value) mutable {
              pending.close();
              on_value(std::move(value));
            },
            std::move(failed)};
}

} // namespace detail

/// A request that was sent. Say at once what happens with its answer.
template <class Result>
class [[nodiscard]] asked {
public:
  explicit asked(detail::wait pending) : pending_(std::move(pending)) {}

  /// Exactly one of the two is called, later, as a message of the asking actor; none when that
  /// actor ends first. `on_value` takes Result (nothing for void), `on_failure` takes failure. Both
  /// must be copyable.
  template <class OnValue, class OnFailure>
  void then(OnValue on_value, OnFailure on_failure) && {
    auto* self = pending_.self;
    const auto id = pending_.id;
    self->add_multiplexed_response_handler(
        id, detail::make_handlers<Result>(pending_, std::move(on_value), std::move(on_failure)));
  }

private:
  detail::wait pending_;
};

/// Sends a request to the present incarnation of `to` and waits no longer than `patience` (at least
/// 1 ms, at most max_patience). `stage` names the wait in errors: "stop agent".
///
/// Failures beside the peer's own, whose texts get the stage in front: restarting (no target, or it
/// ended with the request in its hands), deadline_exceeded, internal (the handler threw).
/// From within the actor `self` only.
template <class Handle, class Message>
[[nodiscard]] auto ask(caf::scheduled_actor* self, const ref<Handle>& to, milliseconds patience,
                       std::string stage, Message message) {
  detail::wait pending{self, {}, std::move(stage), to.path(), patience};
  detail::open(pending, to.target(), caf::make_message(std::move(message)));
  return asked<detail::result_of<Handle, Message>>{std::move(pending)};
}

/// Sends a notice; any thread. @returns whether there was somebody to send it to: a fact that must
/// not be lost is kept by its source and re-read after a restart.
template <class Handle, class Message>
bool tell(const ref<Handle>& to, Message message) {
  static_assert(caf::response_type<typename Handle::signatures, Message>::valid,
                "the receiver's protocol has no such message");
  const auto target = to.target();
  if (target)
    target->enqueue(nullptr, caf::make_message_id(), caf::make_message(std::move(message)),
                    nullptr);
  return target != nullptr;
}

} // namespace troupe::actors
