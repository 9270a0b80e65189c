#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <caf/scheduled_actor.hpp>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace troupe::actors {

namespace detail {

/// Registers `handler` for an answer that no actor will send, and gives the call that delivers it,
/// from any thread. It holds the actor's memory, not its life.
[[nodiscard]] std::function<void()> expect_wakeup(caf::scheduled_actor* self,
                                                  std::function<void()> handler);

} // namespace detail

/// An operation that answers through a callback on some other thread. Say at once what happens with
/// its outcome.
template <class T>
class [[nodiscard]] callback_call {
public:
  using done = std::function<void(outcome<T>)>;
  using starter = std::function<void(done)>;

  callback_call(caf::scheduled_actor* self, starter start)
      : self_(self), start_(std::move(start)) {}

  /// Starts it. Exactly one of the two is called, as a message of the actor; none when the actor
  /// ends first. A `done` that is dropped unanswered is a bug of the operation: nobody would know.
  template <class OnValue, class OnFailure>
  void then(OnValue on_value, OnFailure on_failure) && {
    auto box = std::make_shared<outcome<T>>(fail(errc::internal, "no value"));
    auto wake = detail::expect_wakeup(
        self_, [box, on_value = std::move(on_value), on_failure = std::move(on_failure)]() mutable {
          if (!*box)
            on_failure(std::move(*box).error());
          else if constexpr (std::is_void_v<T>)
            on_value();
          else
            on_value(std::move(**box));
        });
    start_([box, wake = std::move(wake)](outcome<T> result) {
      *box = std::move(result);
      wake();
    });
  }

private:
  caf::scheduled_actor* self_;
  starter start_;
};

/// Brings the outcome of a callback operation (an RPC, a dial) back into the actor `self`. `start`
/// is called once with the callback to give to the operation, which keeps its own deadline.
template <class T>
[[nodiscard]] callback_call<T> await_callback(caf::scheduled_actor* self,
                                              typename callback_call<T>::starter start) {
  return {self, std::move(start)};
}

} // namespace troupe::actors
