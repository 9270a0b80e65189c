#include "actors/dispatcher.hpp"

#include "actors/supervision/ask.hpp"

namespace troupe {
namespace {

using registry_ptr = std::shared_ptr<const sandbox_registry>;

template <class Command>
auto pass(const registry_ptr& sandboxes) {
  return [sandboxes](const task_call<Command>& call) {
    const auto place = sandboxes->find(call.command.sandbox);
    if (!place)
      return call.reply.answer(tl::unexpected(place.error()));
    actors::tell(*place, call);
  };
}

} // namespace

dispatcher_actor::behavior_type
run_dispatcher(dispatcher_actor::stateful_pointer<dispatcher_body>, registry_ptr sandboxes) {
  return {
      pass<create_task>(sandboxes),    pass<exec_process>(sandboxes),
      pass<list_processes>(sandboxes), pass<start_process>(sandboxes),
      pass<kill_process>(sandboxes),   pass<wait_process>(sandboxes),
      pass<get_state>(sandboxes),      pass<resize_pty>(sandboxes),
      pass<close_io>(sandboxes),       pass<delete_process>(sandboxes),
      pass<shutdown_sandbox>(sandboxes),
  };
}

} // namespace troupe
