#pragma once

#include "messages/sandbox.hpp"

#include <map>
#include <mutex>

namespace troupe {

/// Which sandboxes there are. Kept outside the dispatcher, so that a restarted one knows them. Any
/// thread.
class sandbox_registry {
public:
  /// already_exists.
  [[nodiscard]] outcome<void> add(const sandbox_id& id, sandbox_ref place) {
    const std::lock_guard lock{guard_};
    if (!places_.emplace(id, std::move(place)).second)
      return fail(errc::already_exists, "sandbox {} exists", id);
    return {};
  }

  void remove(const sandbox_id& id) {
    const std::lock_guard lock{guard_};
    places_.erase(id);
  }

  [[nodiscard]] outcome<sandbox_ref> find(const sandbox_id& id) const {
    const std::lock_guard lock{guard_};
    const auto at = places_.find(id);
    if (at == places_.end())
      return fail(errc::not_found, "sandbox {}: no such sandbox", id);
    return at->second;
  }

private:
  mutable std::mutex guard_;
  std::map<sandbox_id, sandbox_ref> places_;
};

} // namespace troupe
