#pragma once

#include "actors/supervision/protocol.hpp"
#include "actors/supervision/ref.hpp"
#include "messages/task_call.hpp"

namespace troupe {

/// The guest says how a process ended.
struct guest_exit {
  process_key key;
  exit_record how;
};

/// The guest can no longer be asked about a process: the connection broke, or it never knew it.
struct guest_lost {
  process_key key;
  failure why;
};

/// Both output streams are at their end; `why` tells when that was not an orderly one.
struct output_drained {
  process_key key;
  std::optional<failure> why;
};

/// The machine ended under everything in it.
struct machine_lost {
  failure why;
};

/// One process: its start, its streams, its end. Commands carry the right to answer them, so a
/// command that dies with the actor is answered `restarting`.
using process_actor = actors::protocol<
    actors::notice<task_call<start_process>>, actors::notice<task_call<kill_process>>,
    actors::notice<task_call<wait_process>>, actors::notice<task_call<get_state>>,
    actors::notice<task_call<resize_pty>>, actors::notice<task_call<close_io>>,
    actors::notice<task_call<delete_process>>, actors::notice<guest_exit>,
    actors::notice<guest_lost>, actors::notice<output_drained>, actors::notice<machine_lost>>;
using process_ref = actors::ref<process_actor>;

} // namespace troupe

TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::create_task>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::start_process>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::exec_process>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::delete_process>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::kill_process>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::wait_process>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::get_state>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::resize_pty>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::close_io>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::list_processes>)
TROUPE_LOCAL_MESSAGE(troupe::task_call<troupe::shutdown_sandbox>)
TROUPE_LOCAL_MESSAGE(troupe::guest_exit)
TROUPE_LOCAL_MESSAGE(troupe::guest_lost)
TROUPE_LOCAL_MESSAGE(troupe::output_drained)
TROUPE_LOCAL_MESSAGE(troupe::machine_lost)
