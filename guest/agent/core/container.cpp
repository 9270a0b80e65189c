#include "guest/agent/core/container.hpp"

#include <algorithm>
#include <array>

namespace troupe::guest {

std::string_view name(container_phase phase) noexcept {
  constexpr std::array<std::string_view, 4> names{"being created", "created", "running",
                                                  "being removed"};
  return names[static_cast<std::size_t>(phase)];
}

outcome<void> container::require(std::initializer_list<container_phase> allowed) const {
  if (std::find(allowed.begin(), allowed.end(), phase_) != allowed.end())
    return {};
  return fail(errc::failed_precondition, "container {}: is {}", id_, name(phase_));
}

outcome<std::shared_ptr<process>> container::find(std::string_view exec) const {
  const auto found = processes_.find(key(exec));
  if (found == processes_.end())
    return fail(errc::not_found, "exec_id: container {} has no process '{}'", id_,
                exec.substr(0, max_id_length));
  return found->second;
}

outcome<void> container::can_add(std::string_view exec) const {
  if (processes_.contains(key(exec)))
    return fail(errc::already_exists, "exec_id: container {} has a process '{}'", id_, exec);
  if (processes_.size() - kept_.size() > max_execs)
    return fail(errc::resource_exhausted, "container {}: runs {} processes already", id_,
                max_execs);
  return {};
}

void container::add(std::string_view exec, std::shared_ptr<process> one) {
  processes_[std::string{key(exec)}] = std::move(one);
}

void container::forget(std::string_view exec) {
  const auto found = processes_.find(key(exec));
  if (found == processes_.end())
    return;
  found->second->close_streams();
  std::erase(kept_, found->first);
  processes_.erase(found);
}

void container::keep_exit(std::string_view exec) {
  if (key(exec).empty() || !processes_.contains(exec))
    return; // the init stays anyway, and a failed start was forgotten before its exit came
  kept_.emplace_back(exec);
  if (kept_.size() > max_kept_exits)
    forget(std::string{kept_.front()});
}

} // namespace troupe::guest
