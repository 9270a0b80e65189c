#include "messages/task_api/codec.hpp"

#include "messages/task_api/wire_time.hpp"

#include "events.pb.h"
#include "events_service.pb.h"

#include <array>

namespace troupe::task_api {
namespace {

namespace ev = containerd::events;

ev::TaskCreate encode(const event::task_created& e) {
  ev::TaskCreate out;
  out.set_container_id(e.container.str());
  out.set_bundle(e.bundle);
  out.set_pid(e.pid);
  for (const auto& mount : e.rootfs) {
    auto* to = out.add_rootfs();
    to->set_type(mount.type);
    to->set_source(mount.source);
    for (const auto& option : mount.options)
      to->add_options(option);
  }
  out.mutable_io()->set_stdin(e.io.in);
  out.mutable_io()->set_stdout(e.io.out);
  out.mutable_io()->set_stderr(e.io.err);
  out.mutable_io()->set_terminal(e.io.terminal);
  return out;
}

ev::TaskStart encode(const event::task_started& e) {
  ev::TaskStart out;
  out.set_container_id(e.container.str());
  out.set_pid(e.pid);
  return out;
}

ev::TaskExecAdded encode(const event::exec_added& e) {
  ev::TaskExecAdded out;
  out.set_container_id(e.key.container.str());
  out.set_exec_id(e.key.exec.str());
  return out;
}

ev::TaskExecStarted encode(const event::exec_started& e) {
  ev::TaskExecStarted out;
  out.set_container_id(e.key.container.str());
  out.set_exec_id(e.key.exec.str());
  out.set_pid(e.pid);
  return out;
}

ev::TaskExit encode(const event::process_exited& e) {
  ev::TaskExit out;
  out.set_container_id(e.key.container.str());
  // An init's exit carries the container's id again.
  out.set_id(e.key.exec.empty() ? e.key.container.str() : e.key.exec.str());
  out.set_pid(e.pid);
  out.set_exit_status(e.exit.status);
  set_time(out.mutable_exited_at(), e.exit.at);
  return out;
}

ev::TaskDelete encode(const event::task_deleted& e) {
  ev::TaskDelete out;
  out.set_container_id(e.container.str());
  out.set_pid(e.pid);
  out.set_exit_status(e.exit.status);
  set_time(out.mutable_exited_at(), e.exit.at);
  return out;
}

ev::TaskOOM encode(const event::task_oom& e) {
  ev::TaskOOM out;
  out.set_container_id(e.container.str());
  return out;
}

} // namespace

std::string_view topic(const event::any& what) noexcept {
  constexpr std::array<std::string_view, std::variant_size_v<event::any>> topics{
      "/tasks/create", "/tasks/start",  "/tasks/exec-added", "/tasks/exec-started",
      "/tasks/exit",   "/tasks/delete", "/tasks/oom"};
  return topics[what.index()];
}

std::string encode_event(const event::record& record, const namespace_id& space) {
  containerd::services::events::ttrpc::v1::ForwardRequest request;
  auto* envelope = request.mutable_envelope();
  set_time(envelope->mutable_timestamp(), record.at);
  envelope->set_namespace_(space.str());
  envelope->set_topic(std::string{topic(record.what)});
  std::visit(
      [&](const auto& e) {
        const auto message = encode(e);
        envelope->mutable_event()->set_type_url(message.GetTypeName());
        envelope->mutable_event()->set_value(message.SerializeAsString());
      },
      record.what);
  return request.SerializeAsString();
}

} // namespace troupe::task_api
