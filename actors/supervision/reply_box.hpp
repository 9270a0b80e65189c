#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <atomic>
#include <functional>
#include <memory>

namespace troupe {

/// An answer that leaves the actor world: the continuation of a ttRPC call, a promise of a command
/// line tool. Copies are one box (messages must be copyable). It is answered exactly once: by the
/// first answer(), or with errc::restarting when the last copy goes, so that no caller ever waits
/// for an actor that died holding it.
///
/// answer() may be called on any thread, and the continuation runs on that thread: it must hand
/// over (post to its loop) and not block. It must not throw; what it throws is swallowed.
template <class T>
class reply_box {
public:
  using continuation = std::function<void(outcome<T>)>;

  /// A box nobody listens to.
  reply_box() = default;
  explicit reply_box(continuation then) : shared_(std::make_shared<state>(std::move(then))) {}

  /// The first call wins, later ones do nothing.
  void answer(outcome<T> value) const noexcept {
    if (shared_)
      shared_->answer(std::move(value));
  }

  /// Whether nobody has answered yet.
  [[nodiscard]] bool pending() const noexcept { return shared_ && !shared_->answered.load(); }

private:
  struct state {
    explicit state(continuation f) : then(std::move(f)) {}
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    ~state() { answer(fail(errc::restarting, "the actor that held the request ended")); }

    void answer(outcome<T> value) noexcept {
      if (answered.exchange(true) || !then)
        return;
      try {
        std::exchange(then, nullptr)(std::move(value));
      } catch (...) { // the caller's own code; nobody is left to be told
      }
    }

    continuation then;
    std::atomic<bool> answered{false};
  };

  std::shared_ptr<state> shared_;
};

} // namespace troupe
