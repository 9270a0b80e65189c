#pragma once

#include "actors/sandbox/lifecycle/table.hpp"
#include "messages/task.hpp"

#include <map>
#include <optional>
#include <vector>

namespace troupe {

/// Most containers in one pod. Bounds what one client can make a machine hold.
inline constexpr std::size_t max_containers = 256;

/// The way up of a pod, in order; the way down is the same list in reverse.
enum class boot_stage : std::uint8_t {
  none,
  directory, ///< state folder and journal exist
  devices,   ///< device sockets listen
  machine,   ///< the virtual machine runs
  agent,     ///< the guest agent answers
};

[[nodiscard]] std::string_view name(boot_stage stage) noexcept;

/// Every rule of one pod. It outlives the actor that runs it. One writer: that actor.
class sandbox_state {
public:
  /// A machine without our agent is up with its last own stage, and holds no containers.
  explicit sandbox_state(sandbox_id id, bool has_agent = true)
      : id_(std::move(id)), last_(has_agent ? boot_stage::agent : boot_stage::machine) {}

  [[nodiscard]] const sandbox_id& id() const noexcept { return id_; }
  [[nodiscard]] lifecycle::sandbox_phase phase() const noexcept { return phase_; }

  // -- way up and down ---------------------------------------------------------------------------

  /// @pre phase() == fresh.
  void begin_boot() noexcept { phase_ = lifecycle::sandbox_phase::booting; }
  [[nodiscard]] boot_stage reached() const noexcept { return reached_; }
  /// The stage to do next; none when the way up is done or the pod is on its way down.
  [[nodiscard]] boot_stage next_up() const noexcept;
  void reached(boot_stage stage) noexcept;
  /// `stage` failed half way: its undo is due as well.
  void half_reached(boot_stage stage) noexcept { reached_ = stage; }

  /// Turns round: a failed stage, a dead machine, a shutdown. The first reason stays.
  void begin_stop(failure why) noexcept;
  /// Why the pod went down; empty while it has not.
  [[nodiscard]] const std::optional<failure>& reason() const noexcept { return reason_; }
  /// The stage to undo next; none when nothing is left.
  [[nodiscard]] boot_stage next_down() const noexcept;
  void undone(boot_stage stage) noexcept;

  // -- containers --------------------------------------------------------------------------------

  enum class admission : std::uint8_t { added, same_again };
  /// Takes a container in, or sees the same request again.
  /// already_exists, resource_exhausted (max_containers), failed_precondition (the pod is ending,
  /// or has no agent).
  [[nodiscard]] outcome<admission> admit(const create_task& request);
  /// Whether `command` may go on to container `id`: not_found otherwise.
  [[nodiscard]] outcome<void> route(const container_id& id, lifecycle::command what) const;
  void removed(const container_id& id) noexcept;
  [[nodiscard]] std::vector<container_id> containers() const;

  /// What a shutdown means now: go down, wait for the running one, or nothing to do.
  [[nodiscard]] lifecycle::verdict shutdown(bool now) const noexcept;

private:
  sandbox_id id_;
  boot_stage last_;
  lifecycle::sandbox_phase phase_ = lifecycle::sandbox_phase::fresh;
  boot_stage reached_ = boot_stage::none;
  std::optional<failure> reason_;
  struct entry {
    std::string bundle;
  };
  std::map<container_id, entry> containers_;
};

} // namespace troupe
