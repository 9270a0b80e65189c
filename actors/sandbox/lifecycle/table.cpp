#include "actors/sandbox/lifecycle/table.hpp"

namespace troupe::lifecycle {
namespace {

using enum verdict;
using names = std::string_view;

constexpr std::size_t command_count = all_commands.size();
using row = std::array<verdict, command_count>;

constexpr verdict go = proceed;
constexpr verdict bad = wrong_state;
constexpr verdict none = missing;

// clang-format off
constexpr std::array<row, all_sandbox_phases.size()> sandbox_rows{{
    //           create start exec  kill  k_all wait  state remove resize close pids  shutdown
    /* fresh    */ {go, none, none, none, none, none, none, none, none, none, none, go},
    /* booting  */ {go, go,   go,   go,   go,   go,   go,   go,   go,   go,   go,   go},
    /* running  */ {go, go,   go,   go,   go,   go,   go,   go,   go,   go,   go,   go},
    /* stopping */ {bad, go,  go,   go,   go,   go,   go,   go,   go,   go,   go,   join},
    /* stopped  */ {bad, go,  go,   go,   go,   go,   go,   go,   go,   go,   go,   already_done},
}};

constexpr std::array<row, all_process_phases.size()> process_rows{{
    //            create start exec  kill  k_all wait  state remove resize    close_io  pids shutd.
    /* absent   */ {go,    none, none, none, none, none, none, none, none,     none,     none, go},
    /* creating */ {join,  bad,  bad,  go,   go,   go,   go,   bad,  remember, remember, go,   go},
    /* created  */ {taken, go,   bad,  go,   go,   go,   go,   go,   remember, remember, go,   go},
    /* starting */ {taken, join, go,   go,   go,   go,   go,   bad,  remember, remember, go,   go},
    /* running  */ {taken, already_done,
                                 go,   go,   go,   go,   go,   bad,  go,       go,       go,   go},
    /* stopped  */ {taken, bad,  bad,  none, already_done,
                                                   go,   go,   go,   bad, already_done,  go,   go},
    /* deleting */ {taken, bad,  bad,  none, already_done,
                                                   go,   go,   join, bad, already_done,  go,   go},
}};
// clang-format on

constexpr std::array<names, all_sandbox_phases.size()> sandbox_names{"fresh", "booting", "running",
                                                                     "stopping", "stopped"};
constexpr std::array<names, all_process_phases.size()> process_names{
    "absent", "creating", "created", "starting", "running", "stopped", "deleting"};
constexpr std::array<names, command_count> command_names{
    "create", "start",  "exec",   "kill",     "kill all", "wait",
    "state",  "delete", "resize", "close io", "pids",     "shutdown"};
constexpr std::array<names, 7> verdict_names{"proceed",     "already_done", "join", "remember",
                                             "wrong_state", "missing",      "taken"};

template <class Enum>
constexpr std::size_t index(Enum value) noexcept {
  return static_cast<std::size_t>(value);
}

} // namespace

verdict answer(sandbox_phase phase, command what) noexcept {
  return sandbox_rows[index(phase)][index(what)];
}

verdict answer(process_phase phase, command what) noexcept {
  return process_rows[index(phase)][index(what)];
}

failure refusal(verdict v, std::string_view who, std::string_view phase, command what) {
  switch (v) {
  case missing:
    if (phase == name(process_phase::absent) || phase == name(sandbox_phase::fresh))
      return {errc::not_found, fmt::format("{}: {}: no such process", name(what), who), 0};
    return {errc::not_found, fmt::format("{}: {}: process already finished", name(what), who), 0};
  case taken:
    return {errc::already_exists, fmt::format("{}: {} already exists", name(what), who), 0};
  default:
    return {errc::failed_precondition, fmt::format("{}: {} is {}", name(what), who, phase), 0};
  }
}

std::string_view name(sandbox_phase phase) noexcept {
  return sandbox_names[index(phase)];
}
std::string_view name(process_phase phase) noexcept {
  return process_names[index(phase)];
}
std::string_view name(command what) noexcept {
  return command_names[index(what)];
}
std::string_view name(verdict v) noexcept {
  return verdict_names[index(v)];
}

} // namespace troupe::lifecycle
