#include "actors/container/process_state.hpp"

namespace troupe {

using lifecycle::process_phase;

process_state::process_state(process_key key, std::string bundle, stdio_paths io,
                             std::uint32_t pid)
    : key_(std::move(key)), bundle_(std::move(bundle)), io_(std::move(io)), pid_(pid) {}

outcome<lifecycle::verdict> process_state::admit(lifecycle::command what) const {
  const auto verdict = lifecycle::answer(phase_, what);
  if (lifecycle::refuses(verdict))
    return tl::unexpected(
        lifecycle::refusal(verdict, key_.to_string(), lifecycle::name(phase_), what));
  return verdict;
}

void process_state::started() noexcept {
  if (phase_ == process_phase::starting)
    phase_ = process_phase::running;
}

void process_state::start_failed() noexcept {
  if (phase_ == process_phase::starting)
    phase_ = process_phase::created;
}

bool process_state::exited(exit_record how) noexcept {
  if (seen_)
    return false;
  seen_ = how;
  return true;
}

bool process_state::take_finish() noexcept {
  if (!seen_ || !drained_ || told_)
    return false;
  told_ = seen_;
  if (phase_ != process_phase::deleting)
    phase_ = process_phase::stopped;
  return true;
}

outcome<void> process_state::resize(pty_size size) {
  if (!io_.terminal)
    return fail(errc::failed_precondition, "resize: {} has no terminal", key_.to_string());
  if (size.columns > max_pty_cells)
    return fail(errc::invalid_argument, "width: {} is over {}", size.columns, max_pty_cells);
  if (size.rows > max_pty_cells)
    return fail(errc::invalid_argument, "height: {} is over {}", size.rows, max_pty_cells);
  size_ = size;
  return {};
}

deleted_process process_state::removed(wall_time now) const noexcept {
  return {pid_, told_.value_or(exit_record{killed_status, now})};
}

process_report process_state::report() const {
  process_report out{key_, bundle_, pid_, task_status::created, io_, told_};
  switch (phase_) {
  case process_phase::starting:
  case process_phase::running:
    out.status = task_status::running;
    break;
  case process_phase::stopped:
  case process_phase::deleting:
    out.status = task_status::stopped;
    break;
  default:
    break;
  }
  return out;
}

} // namespace troupe
