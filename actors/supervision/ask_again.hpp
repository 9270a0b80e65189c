#pragma once

#include "actors/supervision/ask.hpp"
#include "actors/supervision/timer.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

namespace troupe::actors {

/// Pause before a part that is being restarted is asked again; doubles up to the second.
inline constexpr milliseconds first_pause{2};
inline constexpr milliseconds longest_pause{200};

namespace detail {

template <class Handle, class Message, class OnValue, class OnFailure>
struct repetition {
  caf::scheduled_actor* self;
  ref<Handle> to;
  time_point end;
  std::string stage;
  Message message;
  OnValue on_value;
  OnFailure on_failure;
  bool repeated = false;
  milliseconds pause = first_pause;

  static void send(const std::shared_ptr<repetition>& it) {
    const auto left = std::chrono::duration_cast<milliseconds>(it->end - now(it->self));
    ask(it->self, it->to, left, it->stage, it->message)
        .then([it](auto&&... value) { it->on_value(std::forward<decltype(value)>(value)...); },
              [it](const failure& why) { failed(it, why); });
  }

  static void failed(const std::shared_ptr<repetition>& it, const failure& why) {
    if constexpr (requires { Message::done_before(why.code); })
      if (it->repeated && Message::done_before(why.code))
        return it->on_value();
    if (!retryable(why.code) || now(it->self) + it->pause >= it->end)
      return it->on_failure(why);
    it->repeated = true;
    const auto pause = std::exchange(it->pause, std::min(it->pause * 2, longest_pause));
    (void)after(it->self, pause, [it] { send(it); });
  }
};

} // namespace detail

/// A request that is repeated while the part that answers is being restarted.
template <class Handle, class Message>
class [[nodiscard]] asked_again {
public:
  asked_again(caf::scheduled_actor* self, ref<Handle> to, milliseconds patience, std::string stage,
              Message message)
      : self_(self), to_(std::move(to)), end_(now(self) + std::min(patience, max_patience)),
        stage_(std::move(stage)), message_(std::move(message)) {}

  /// An earlier incarnation of `self` has sent it already.
  asked_again repeated() && {
    repeated_ = true;
    return std::move(*this);
  }

  /// As asked::then.
  template <class OnValue, class OnFailure>
  void then(OnValue on_value, OnFailure on_failure) && {
    using whole = detail::repetition<Handle, Message, OnValue, OnFailure>;
    whole::send(std::make_shared<whole>(whole{self_, std::move(to_), end_, std::move(stage_),
                                              std::move(message_), std::move(on_value),
                                              std::move(on_failure), repeated_}));
  }

private:
  caf::scheduled_actor* self_;
  ref<Handle> to_;
  time_point end_;
  std::string stage_;
  Message message_;
  bool repeated_ = false;
};

/// As ask(), for requests that may be repeated: as long as the answer is `restarting` and patience
/// is left, the peer's next incarnation is asked. Where a repetition of what was done already is an
/// error, the message type says which: `static bool done_before(errc)`; it then counts as done.
template <class Handle, class Message>
[[nodiscard]] asked_again<Handle, Message> ask_again(caf::scheduled_actor* self,
                                                     const ref<Handle>& to, milliseconds patience,
                                                     std::string stage, Message message) {
  return {self, to, patience, std::move(stage), std::move(message)};
}

} // namespace troupe::actors
