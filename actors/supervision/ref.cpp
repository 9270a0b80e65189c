#include "actors/supervision/ref.hpp"

#include <utility>

namespace troupe::actors {

std::string_view actor_slot::name() const noexcept {
  const std::string_view path = path_;
  return path.substr(path.rfind('/') + 1);
}

caf::strong_actor_ptr actor_slot::target() const {
  const std::lock_guard lock{mutex_};
  return target_;
}

std::uint64_t actor_slot::generation() const {
  const std::lock_guard lock{mutex_};
  return generation_;
}

void actor_slot::bind(caf::strong_actor_ptr target, std::uint64_t generation) {
  const std::lock_guard lock{mutex_};
  std::swap(target_, target); // the old one is let go outside the lock
  generation_ = generation;
}

void actor_slot::unbind(std::uint64_t generation) {
  caf::strong_actor_ptr old;
  const std::lock_guard lock{mutex_};
  if (generation_ == generation)
    std::swap(target_, old);
}

} // namespace troupe::actors
