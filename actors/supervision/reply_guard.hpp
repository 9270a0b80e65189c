#pragma once

#include "actors/supervision/protocol.hpp"

#include <caf/local_actor.hpp>
#include <caf/response_promise.hpp>

#include <memory>

namespace troupe::actors {

/// A deferred answer to the request being handled. Keep it in the actor's state or in the callbacks
/// of an ask(); copies are one guard. It is answered exactly once: by the first answer(), or with
/// errc::restarting when the last copy goes, which includes every way the actor can end. CAF's own
/// promise would leave the asker waiting.
///
/// Only within the actor that made it. What must be answered from another thread is a reply_box.
template <class T>
class reply_guard {
public:
  /// Takes over the current request of `self`.
  explicit reply_guard(caf::local_actor* self)
      : held_(std::make_shared<held>(self->make_response_promise())) {}

  /// The first call wins, later ones do nothing.
  void answer(outcome<T> value) const {
    if (!held_->promise.pending())
      return;
    if (!value)
      held_->promise.deliver(to_caf(value.error()));
    else if constexpr (std::is_void_v<T>)
      held_->promise.deliver(caf::unit);
    else
      held_->promise.deliver(std::move(*value));
  }

  [[nodiscard]] bool pending() const { return held_->promise.pending(); }

  /// What the handler returns: "later".
  [[nodiscard]] operator actors::answer<T>() const { return caf::delegated<T>{}; }

private:
  struct held {
    explicit held(caf::response_promise p) : promise(std::move(p)) {}
    held(const held&) = delete;
    held& operator=(const held&) = delete;
    ~held() {
      if (promise.pending())
        promise.deliver(to_caf({errc::restarting, "the actor ended before it could answer", 0}));
    }
    caf::response_promise promise;
  };
  std::shared_ptr<held> held_;
};

} // namespace troupe::actors
