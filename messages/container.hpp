#pragma once

#include "messages/process.hpp"

namespace troupe {

/// A process of the container runs.
struct process_running {
  process_key key;
};

/// A process of the container has ended and its end has been told.
struct process_finished {
  process_key key;
  exit_record exit;
};

/// A process was deleted: the container may let go of its actor.
struct process_removed {
  process_key key;
  deleted_process answer;
  /// Whom the delete came from; for an init the container answers when all of it is gone.
  reply_box<deleted_process> reply;
};

/// The machine is ready, its processes have this pid: a create that waits may go on.
struct machine_ready {
  std::uint32_t pid = 0;
};

/// One container: its root file system, its place in the guest, its processes.
using container_actor = actors::protocol<
    actors::notice<task_call<create_task>>, actors::notice<task_call<exec_process>>,
    actors::notice<task_call<list_processes>>, actors::notice<task_call<start_process>>,
    actors::notice<task_call<kill_process>>, actors::notice<task_call<wait_process>>,
    actors::notice<task_call<get_state>>, actors::notice<task_call<resize_pty>>,
    actors::notice<task_call<close_io>>, actors::notice<task_call<delete_process>>,
    actors::notice<machine_ready>, actors::notice<process_running>,
    actors::notice<process_finished>, actors::notice<process_removed>,
    actors::notice<machine_lost>>;
using container_ref = actors::ref<container_actor>;

} // namespace troupe

TROUPE_LOCAL_MESSAGE(troupe::process_running)
TROUPE_LOCAL_MESSAGE(troupe::process_finished)
TROUPE_LOCAL_MESSAGE(troupe::process_removed)
TROUPE_LOCAL_MESSAGE(troupe::machine_ready)
