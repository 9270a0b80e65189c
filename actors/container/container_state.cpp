#include "actors/container/container_state.hpp"

namespace troupe {

using lifecycle::process_phase;

container_state::container_state(create_task request, std::uint32_t pid)
    : request_(std::move(request)), pid_(pid) {}

bool container_state::same_request(const create_task& other) const noexcept {
  return request_.container == other.container && request_.bundle == other.bundle &&
         request_.rootfs == other.rootfs && request_.io == other.io;
}

outcome<void> container_state::add_exec(const exec_id& id) {
  const auto verdict = lifecycle::answer(phase_ == process_phase::created ? process_phase::running
                                                                          : phase_,
                                         lifecycle::command::exec);
  if (lifecycle::refuses(verdict))
    return tl::unexpected(lifecycle::refusal(verdict, this->id().str(), lifecycle::name(phase_),
                                             lifecycle::command::exec));
  if (execs_.contains(id))
    return fail(errc::already_exists, "exec id: {} is in use in container {}", id, this->id());
  if (execs_.size() >= max_execs_per_container)
    return fail(errc::resource_exhausted, "exec: container {} has {} processes registered",
                this->id(), execs_.size());
  execs_.insert(id);
  return {};
}

void container_state::drop_exec(const exec_id& id) noexcept { execs_.erase(id); }

bool container_state::has_exec(const exec_id& id) const noexcept { return execs_.contains(id); }

std::vector<exec_id> container_state::execs() const {
  return {execs_.begin(), execs_.end()};
}

process_report container_state::report() const {
  return {process_key{request_.container, {}}, request_.bundle, pid_, task_status::created,
          request_.io, std::nullopt};
}

} // namespace troupe
