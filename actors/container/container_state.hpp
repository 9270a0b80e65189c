#pragma once

#include "actors/sandbox/lifecycle/table.hpp"
#include "messages/task.hpp"

#include <set>
#include <optional>
#include <vector>

namespace troupe {

/// Most processes registered in one container at a time. Bounds what a client that execs in a loop
/// and never deletes can make us hold.
inline constexpr std::size_t max_execs_per_container = 1024;

/// The way up and down of a container, one effect a step. Down starts at whatever was reached.
enum class container_step : std::uint8_t {
  none,     ///< nothing exists
  prepared, ///< spec parsed, root file system mounted (detached)
  shared,   ///< the guest can see the root file system
  created,  ///< the agent holds the container, its init parked
};

/// Every rule of one container. It outlives the actor that runs it. One writer: that actor.
class container_state {
public:
  container_state(create_task request, std::uint32_t pid);

  [[nodiscard]] const create_task& request() const noexcept { return request_; }
  [[nodiscard]] const container_id& id() const noexcept { return request_.container; }
  [[nodiscard]] std::uint32_t pid() const noexcept { return pid_; }
  void set_pid(std::uint32_t pid) noexcept { pid_ = pid; }

  /// Phase of the container itself; once created its init process speaks for it.
  [[nodiscard]] lifecycle::process_phase phase() const noexcept { return phase_; }
  [[nodiscard]] container_step reached() const noexcept { return reached_; }

  /// Whether `other` is this create again: same bundle, mounts and streams.
  [[nodiscard]] bool same_request(const create_task& other) const noexcept;

  /// A step up was made.
  void advance(container_step to) noexcept { reached_ = to; }
  /// A step down was made (or could not be, which is logged and gone on from).
  void retreat(container_step to) noexcept { reached_ = to; }
  /// The whole way up is done.
  void created() noexcept { phase_ = lifecycle::process_phase::created; }

  /// Somebody wants it gone while it is still coming up; create() ends with `cancelled`.
  void cancel() noexcept { cancelled_ = true; }
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }

  /// On the way down: delete, or a create that failed.
  void begin_remove() noexcept { phase_ = lifecycle::process_phase::deleting; }
  [[nodiscard]] bool removing() const noexcept {
    return phase_ == lifecycle::process_phase::deleting;
  }

  /// Takes an exec id. already_exists, resource_exhausted (max_execs_per_container), or
  /// failed_precondition while the container is not created or going.
  [[nodiscard]] outcome<void> add_exec(const exec_id& id);
  void drop_exec(const exec_id& id) noexcept;
  [[nodiscard]] bool has_exec(const exec_id& id) const noexcept;
  [[nodiscard]] std::vector<exec_id> execs() const;

  /// What is answered for the init while there is none yet.
  [[nodiscard]] process_report report() const;

private:
  create_task request_;
  std::uint32_t pid_ = 0;
  lifecycle::process_phase phase_ = lifecycle::process_phase::creating;
  container_step reached_ = container_step::none;
  bool cancelled_ = false;
  std::set<exec_id> execs_;
};

} // namespace troupe
