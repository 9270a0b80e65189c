#pragma once

#include "actors/supervision/reply_box.hpp"
#include "messages/task.hpp"

#include <functional>
#include <type_traits>
#include <variant>

namespace troupe {

/// A command together with the right to answer it.
template <class Command>
struct task_call {
  Command command;
  reply_box<typename Command::reply> reply;
};

/// Any command from outside, as it enters the actors.
using any_task_call =
    std::variant<task_call<create_task>, task_call<start_process>, task_call<exec_process>,
                 task_call<delete_process>, task_call<kill_process>, task_call<wait_process>,
                 task_call<get_state>, task_call<resize_pty>, task_call<close_io>,
                 task_call<list_processes>, task_call<shutdown_sandbox>>;

/// Where commands go: the runtime, or a test's recorder. Any thread; does not block.
using task_port = std::function<void(any_task_call)>;

} // namespace troupe
