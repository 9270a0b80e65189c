#pragma once

#include "messages/container.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <optional>

namespace troupe {

/// A container is gone for good: deleted, or its create failed.
struct container_removed {
  container_id id;
  /// Why its create failed.
  std::optional<failure> why;
};

/// A part without which the pod cannot go on is lost: the connection to the agent, or a container's
/// actors that could not be kept alive.
struct part_lost {
  failure why;
};

/// Boots the machine ahead of any container. Answered when the agent answers; repeating is
/// harmless. Fails with what stopped the boot; the text names the stage.
struct boot_sandbox {
  request_context context;
};

/// Stops or continues the pod's machine as a whole; see pause_machine. failed_precondition: it is
/// not running.
struct pause_sandbox {
  request_context context;
};
struct resume_sandbox {
  request_context context;
};

/// One pod: the order in which its parts come up and go down, and which containers it holds.
using sandbox_actor = actors::protocol<
    actors::notice<task_call<create_task>>, actors::notice<task_call<exec_process>>,
    actors::notice<task_call<list_processes>>, actors::notice<task_call<start_process>>,
    actors::notice<task_call<kill_process>>, actors::notice<task_call<wait_process>>,
    actors::notice<task_call<get_state>>, actors::notice<task_call<resize_pty>>,
    actors::notice<task_call<close_io>>, actors::notice<task_call<delete_process>>,
    actors::notice<task_call<shutdown_sandbox>>, actors::request<boot_sandbox, void>,
    actors::request<pause_sandbox, void>, actors::request<resume_sandbox, void>,
    actors::notice<container_removed>, actors::notice<machine_lost>, actors::notice<part_lost>>;
using sandbox_ref = actors::ref<sandbox_actor>;

/// From outside to the sandbox that a command names.
using dispatcher_actor = actors::protocol<
    actors::notice<task_call<create_task>>, actors::notice<task_call<exec_process>>,
    actors::notice<task_call<list_processes>>, actors::notice<task_call<start_process>>,
    actors::notice<task_call<kill_process>>, actors::notice<task_call<wait_process>>,
    actors::notice<task_call<get_state>>, actors::notice<task_call<resize_pty>>,
    actors::notice<task_call<close_io>>, actors::notice<task_call<delete_process>>,
    actors::notice<task_call<shutdown_sandbox>>>;

} // namespace troupe

TROUPE_LOCAL_MESSAGE(troupe::container_removed)
TROUPE_LOCAL_MESSAGE(troupe::part_lost)
TROUPE_LOCAL_MESSAGE(troupe::boot_sandbox)
TROUPE_LOCAL_MESSAGE(troupe::pause_sandbox)
TROUPE_LOCAL_MESSAGE(troupe::resume_sandbox)
