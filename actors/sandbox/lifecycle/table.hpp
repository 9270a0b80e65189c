#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <array>
#include <cstdint>
#include <string_view>

/// The one table that says what every command means in every state. The actors ask it before they
/// do anything, so no (state, message) pair is left to chance; the tests walk the whole product.
namespace troupe::lifecycle {

/// Life of a pod: fresh -> booting -> running -> stopping -> stopped. A failed boot goes through
/// stopping as well: its undo is the same list.
enum class sandbox_phase : std::uint8_t { fresh, booting, running, stopping, stopped };

/// Life of a process; of an init also its container's. `absent` stands for "no such process".
enum class process_phase : std::uint8_t {
  absent,
  creating,
  created,
  starting,
  running,
  stopped,
  deleting
};

enum class command : std::uint8_t {
  create,
  start,
  exec,
  kill,
  kill_all,
  wait,
  state,
  remove,
  resize,
  close_io,
  pids,
  shutdown
};

inline constexpr std::array all_sandbox_phases{sandbox_phase::fresh, sandbox_phase::booting,
                                               sandbox_phase::running, sandbox_phase::stopping,
                                               sandbox_phase::stopped};
inline constexpr std::array all_process_phases{process_phase::absent,  process_phase::creating,
                                               process_phase::created, process_phase::starting,
                                               process_phase::running, process_phase::stopped,
                                               process_phase::deleting};
inline constexpr std::array all_commands{command::create,   command::start,    command::exec,
                                         command::kill,     command::kill_all, command::wait,
                                         command::state,    command::remove,   command::resize,
                                         command::close_io, command::pids,     command::shutdown};

enum class verdict : std::uint8_t {
  proceed,      ///< Do it.
  already_done, ///< The same was done before: answer success again, do nothing.
  join,         ///< The same is being done: answer when that is finished.
  remember,     ///< Legal but early: keep it and apply it when the process runs.
  wrong_state,  ///< failed_precondition.
  missing,      ///< not_found.
  taken,        ///< already_exists (unless it is the same request again; the caller compares).
};

/// What a sandbox does with a command. `proceed` of a container's command means: pass it to the
/// container, which asks the other table.
[[nodiscard]] verdict answer(sandbox_phase phase, command what) noexcept;

/// What a process does with a command; an init answers for its container. create and shutdown are
/// answered by the sandbox, exec by the init of the container it joins (phase of the init).
[[nodiscard]] verdict answer(process_phase phase, command what) noexcept;

/// The failure for a verdict that refuses; `who` is the sandbox's or process's name.
/// @pre refuses(v).
[[nodiscard]] failure refusal(verdict v, std::string_view who, std::string_view phase,
                              command what);
[[nodiscard]] constexpr bool refuses(verdict v) noexcept {
  return v >= verdict::wrong_state;
}

[[nodiscard]] std::string_view name(sandbox_phase phase) noexcept;
[[nodiscard]] std::string_view name(process_phase phase) noexcept;
[[nodiscard]] std::string_view name(command what) noexcept;
[[nodiscard]] std::string_view name(verdict v) noexcept;

} // namespace troupe::lifecycle
