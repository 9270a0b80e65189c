#pragma once

#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace troupe::actors {

/// The place of an actor in the tree, whoever fills it just now. Its supervisor binds it at every
/// start of the child and empties it when the child has ended. Any thread.
class actor_slot {
public:
  explicit actor_slot(std::string path) : path_(std::move(path)) {}

  /// "sandbox/c1/agent": unique in its system, the last component is the child's name.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string_view name() const noexcept;
  /// Null while there is none.
  [[nodiscard]] caf::strong_actor_ptr target() const;
  /// 0 before the first start, then which run of the actor is or was bound last.
  [[nodiscard]] std::uint64_t generation() const;

  void bind(caf::strong_actor_ptr target, std::uint64_t generation);
  /// Nothing happens when another run has been bound meanwhile.
  void unbind(std::uint64_t generation);

private:
  const std::string path_;
  mutable std::mutex mutex_;
  caf::strong_actor_ptr target_;
  std::uint64_t generation_ = 0;
};

/// How one actor knows another: by its place, not by its present incarnation. Copies share the
/// place. A ref without a target is normal while the actor is restarted: ask() then answers
/// errc::restarting.
template <class Handle>
class ref {
public:
  using handle = Handle;

  /// The place of nobody.
  ref() = default;
  /// A new, empty place. Give it to child() so that a supervisor fills it.
  explicit ref(std::string path) : slot_(std::make_shared<actor_slot>(std::move(path))) {}
  /// A place with a fixed target that no supervisor tends: for tests.
  ref(std::string path, const Handle& target) : ref(std::move(path)) {
    slot_->bind(caf::actor_cast<caf::strong_actor_ptr>(target), 1);
  }

  [[nodiscard]] const std::string& path() const noexcept {
    static const std::string nobody = "nobody";
    return slot_ ? slot_->path() : nobody;
  }
  [[nodiscard]] std::uint64_t generation() const { return slot_ ? slot_->generation() : 0; }
  /// The present incarnation or a null handle. Do not keep it: it is no longer right after a
  /// restart.
  [[nodiscard]] Handle get() const { return caf::actor_cast<Handle>(target()); }
  [[nodiscard]] caf::strong_actor_ptr target() const {
    return slot_ ? slot_->target() : caf::strong_actor_ptr{};
  }
  [[nodiscard]] explicit operator bool() const { return target() != nullptr; }
  [[nodiscard]] const std::shared_ptr<actor_slot>& slot() const noexcept { return slot_; }

private:
  std::shared_ptr<actor_slot> slot_;
};

} // namespace troupe::actors

namespace caf {
template <class Handle>
struct allowed_unsafe_message_type<troupe::actors::ref<Handle>> : std::true_type {};
} // namespace caf
