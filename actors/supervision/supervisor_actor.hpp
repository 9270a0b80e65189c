#pragma once

#include "actors/supervision/protocol.hpp"
#include "actors/supervision/spawn.hpp"
#include "actors/supervision/supervisor_state.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::actors {

/// Starts one more child, after the present ones, and answers when it runs. Fails with:
/// already_exists (its name), resource_exhausted (max_children), failed_precondition (the
/// supervisor is stopping). A child added this way is not there after a restart of the supervisor
/// itself: its owner adds it again.
struct add_child {
  child_spec spec;
};

/// Ends a child for good and answers when it is gone. Fails with: not_found, deadline_exceeded (it
/// hung and was given up).
struct remove_child {
  /// The last component of its path.
  std::string name;
};

struct list_children {};

struct child_info {
  std::string path;
  std::uint64_t generation = 0;
  std::uint32_t restarts = 0;
  bool running = false;
};
struct child_list {
  std::vector<child_info> children;
};

/// A supervisor only supervises. It is stopped as every actor, by an exit message from its own
/// supervisor (or the host): children end in reverse order, each within its grace, then it ends
/// itself.
using supervisor_actor = protocol<request<add_child, void>, request<remove_child, void>,
                                  request<list_children, child_list>>;

/// What happened to a child; for logs, metrics and tests.
struct supervision_event {
  enum class kind : std::uint8_t {
    started,   ///< runs, for the first time or again
    ended,     ///< ended; `why` says how, when it failed
    killed,    ///< did not end within its grace
    given_up,  ///< did not end even when killed
    escalated, ///< the supervisor itself ends with `why`
  };
  kind what = kind::started;
  std::string path;
  std::uint64_t generation = 0;
  std::optional<failure> why;
};

struct supervisor_args {
  restart_policy policy;
  /// The children to begin with, asked for at every start of the supervisor.
  std::function<std::vector<child_spec>()> children;
  /// Called on the supervisor's turn: must not block or throw. May be empty.
  std::function<void(const supervision_event&)> observe;
};

class supervised_children;
struct supervisor_body {
  std::shared_ptr<supervised_children> children;
};

/// The behaviour; use it with child() or, for the root, with actor_system_host::start_root().
[[nodiscard]] supervisor_actor::behavior_type
supervise(supervisor_actor::stateful_pointer<supervisor_body> self, supervisor_args args);

} // namespace troupe::actors

TROUPE_LOCAL_MESSAGE(troupe::actors::add_child)
TROUPE_LOCAL_MESSAGE(troupe::actors::remove_child)
TROUPE_LOCAL_MESSAGE(troupe::actors::list_children)
TROUPE_LOCAL_MESSAGE(troupe::actors::child_list)
