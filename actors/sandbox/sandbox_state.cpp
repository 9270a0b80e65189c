#include "actors/sandbox/sandbox_state.hpp"

#include <array>

namespace troupe {

using lifecycle::sandbox_phase;
using lifecycle::verdict;

namespace {

boot_stage after(boot_stage stage) noexcept {
  return static_cast<boot_stage>(static_cast<std::uint8_t>(stage) + 1);
}

boot_stage before(boot_stage stage) noexcept {
  return static_cast<boot_stage>(static_cast<std::uint8_t>(stage) - 1);
}

} // namespace

std::string_view name(boot_stage stage) noexcept {
  constexpr std::array<std::string_view, 5> names{"none", "directory", "devices", "machine",
                                                  "agent"};
  return names[static_cast<std::size_t>(stage)];
}

boot_stage sandbox_state::next_up() const noexcept {
  return phase_ == sandbox_phase::booting ? after(reached_) : boot_stage::none;
}

void sandbox_state::reached(boot_stage stage) noexcept {
  reached_ = stage;
  if (phase_ == sandbox_phase::booting && stage == last_)
    phase_ = sandbox_phase::running;
}

void sandbox_state::begin_stop(failure why) noexcept {
  if (!reason_)
    reason_ = std::move(why);
  if (phase_ != sandbox_phase::stopped)
    phase_ = sandbox_phase::stopping;
}

boot_stage sandbox_state::next_down() const noexcept {
  return phase_ == sandbox_phase::stopping ? reached_ : boot_stage::none;
}

void sandbox_state::undone(boot_stage stage) noexcept {
  if (stage != boot_stage::none)
    reached_ = before(stage);
  if (reached_ == boot_stage::none)
    phase_ = sandbox_phase::stopped;
}

outcome<sandbox_state::admission> sandbox_state::admit(const create_task& request) {
  if (last_ != boot_stage::agent)
    return fail(errc::failed_precondition, "sandbox {} has no agent: its payload is bare", id_);
  const auto v = lifecycle::answer(phase_, lifecycle::command::create);
  if (lifecycle::refuses(v))
    return tl::unexpected(
        lifecycle::refusal(v, "sandbox " + id_.str(), name(phase_), lifecycle::command::create));
  if (const auto known = containers_.find(request.container); known != containers_.end()) {
    if (known->second.bundle == request.bundle)
      return admission::same_again;
    return fail(errc::already_exists, "container id: {} is in use in sandbox {}", request.container,
                id_);
  }
  if (containers_.size() >= max_containers)
    return fail(errc::resource_exhausted, "sandbox {} holds {} containers", id_,
                containers_.size());
  containers_.emplace(request.container, entry{request.bundle});
  return admission::added;
}

outcome<void> sandbox_state::route(const container_id& id, lifecycle::command what) const {
  if (!containers_.contains(id))
    return fail(errc::not_found, "{}: container {} is not in sandbox {}", lifecycle::name(what), id,
                id_);
  return {};
}

void sandbox_state::removed(const container_id& id) noexcept {
  containers_.erase(id);
}

std::vector<container_id> sandbox_state::containers() const {
  std::vector<container_id> out;
  for (const auto& [id, unused] : containers_)
    out.push_back(id);
  return out;
}

verdict sandbox_state::shutdown(bool now) const noexcept {
  const auto v = lifecycle::answer(phase_, lifecycle::command::shutdown);
  if (v == verdict::proceed && !now && !containers_.empty())
    return verdict::remember;
  return v;
}

} // namespace troupe
