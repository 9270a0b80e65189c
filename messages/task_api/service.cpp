#include "messages/task_api/service.hpp"

#include "messages/task_api/codec.hpp"
#include "messages/vocabulary/log.hpp"

#include <unistd.h>

namespace troupe::task_api {
namespace {

/// What every method of the service shares.
struct service {
  task_port port;
  task_service_options options;

  [[nodiscard]] request_context context(const ttrpc::request& call, bool endless) const {
    request_context out;
    out.caller = "containerd";
    out.trace = call.find("traceparent");
    out.deadline = call.deadline;
    if (out.deadline == time_point::max() && !endless)
      out.deadline = monotonic_clock::now() + options.default_deadline;
    return out;
  }
};

using shared_service = std::shared_ptr<const service>;

std::string encode_done(const done&) {
  return {};
}

/// Binds one method: bytes -> Command -> port -> reply -> bytes.
template <class Command>
ttrpc::handler method(shared_service shared, outcome<Command> (*decode)(const std::string&),
                      std::function<std::string(const typename Command::reply&)> encode) {
  return [shared = std::move(shared), decode, encode = std::move(encode)](ttrpc::request call,
                                                                          ttrpc::reply reply) {
    auto command = decode(call.payload);
    if (!command) {
      log::info("task", "{}: {}", call.method, command.error().text);
      return std::move(reply).send(tl::unexpected(command.error()));
    }
    command->sandbox = shared->options.sandbox;
    command->context = shared->context(call, std::is_same_v<Command, wait_process>);
    log::debug("task", "{}", call.method);
    auto held = std::make_shared<ttrpc::reply>(std::move(reply));
    using answer = typename Command::reply;
    reply_box<answer> box{[held, encode, name = call.method](outcome<answer> result) {
      if (result)
        return std::move(*held).send(encode(*result));
      log::info("task", "{}: {}", name, result.error().to_string());
      std::move(*held).send(tl::unexpected(result.error()));
    }};
    shared->port(task_call<Command>{std::move(*command), std::move(box)});
  };
}

ttrpc::handler refused(const char* what) {
  return [what](const ttrpc::request&, ttrpc::reply reply) {
    std::move(reply).send(fail(errc::unimplemented, "{}: not supported", what));
  };
}

} // namespace

std::unique_ptr<ttrpc::server> make_task_server(asio::io_context& io, task_port port,
                                                task_service_options options) {
  ttrpc::server_options how;
  how.name = "task service";
  how.accept_if = [](const ttrpc::peer_credentials& peer) { return peer.uid == ::geteuid(); };
  auto server = std::make_unique<ttrpc::server>(io, std::move(how));
  const auto shared = std::make_shared<const service>(service{std::move(port), std::move(options)});
  const auto add = [&](const char* name, ttrpc::handler handle) {
    server->add(task_service_name, name, std::move(handle));
  };
  add("Create", method<create_task>(shared, decode_create, encode_created));
  add("Start", method<start_process>(shared, decode_start, encode_started));
  add("Exec", method<exec_process>(shared, decode_exec, encode_done));
  add("Delete", method<delete_process>(shared, decode_delete, encode_deleted));
  add("Kill", method<kill_process>(shared, decode_kill, encode_done));
  add("Wait", method<wait_process>(shared, decode_wait, encode_exit));
  add("State", method<get_state>(shared, decode_state, encode_state));
  add("ResizePty", method<resize_pty>(shared, decode_resize, encode_done));
  add("CloseIO", method<close_io>(shared, decode_close_io, encode_done));
  add("Pids", method<list_processes>(shared, decode_pids, encode_pids));
  add("Connect", method<get_state>(shared, decode_connect, [shared](const process_report& report) {
        return encode_connect(report, shared->options.shim_pid);
      }));
  add("Shutdown", method<shutdown_sandbox>(shared, decode_shutdown, [shared](bool gone) {
        if (gone && shared->options.on_gone)
          shared->options.on_gone();
        return std::string{};
      }));
  for (const auto* name : {"Pause", "Resume", "Checkpoint", "Update", "Stats"})
    add(name, refused(name));
  return server;
}

} // namespace troupe::task_api
