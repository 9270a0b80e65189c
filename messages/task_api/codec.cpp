#include "messages/task_api/codec.hpp"

#include "messages/task_api/wire_time.hpp"

#include "runtime_options.pb.h"
#include "task.pb.h"

namespace troupe::task_api {
namespace {

namespace v2 = containerd::task::v2;

/// Go's zero time: what containerd takes for "has not exited".
constexpr std::int64_t go_zero_seconds = -62135596800;
constexpr std::string_view process_type =
    "types.containerd.io/opencontainers/runtime-spec/1/Process";

template <class Message>
outcome<Message> parse(const std::string& bytes) {
  Message message;
  if (!message.ParseFromString(bytes))
    return fail(errc::invalid_argument, "request: is not a {}", message.GetTypeName());
  return message;
}

/// An exec id equal to the container's means the init process, as an empty one does.
outcome<process_key> key_of(const std::string& id, const std::string& exec) {
  process_key key;
  key.container = TRY(container_id::parse(id));
  if (!exec.empty() && exec != id)
    key.exec = TRY(exec_id::parse(exec));
  return key;
}

/// Commands that hold nothing but the process they mean.
template <class Command, class Message>
outcome<Command> decode_keyed(const std::string& bytes) {
  const auto message = TRY(parse<Message>(bytes));
  Command command;
  command.key = TRY(key_of(message.id(), message.exec_id()));
  return command;
}

outcome<std::vector<rootfs_mount>> mounts_of(const v2::CreateTaskRequest& message) {
  if (static_cast<std::size_t>(message.rootfs_size()) > max_rootfs_mounts)
    return fail(errc::invalid_argument, "rootfs: {} mounts, at most {}", message.rootfs_size(),
                max_rootfs_mounts);
  std::vector<rootfs_mount> out;
  for (const auto& mount : message.rootfs()) {
    if (static_cast<std::size_t>(mount.options_size()) > max_mount_options)
      return fail(errc::invalid_argument, "rootfs[{}].options: {} of them, at most {}", out.size(),
                  mount.options_size(), max_mount_options);
    out.push_back({mount.type(), mount.source(), {mount.options().begin(), mount.options().end()}});
  }
  return out;
}

/// Options may come as runtimeoptions.v1.Options. Of runc's, which clients add by habit, nothing is
/// taken; any other kind asks for something that would not happen.
outcome<std::string> config_path_of(const troupe::wire::Any& options) {
  const auto& type = options.type_url();
  if (type.empty() || type.ends_with("containerd.runc.v1.Options"))
    return std::string{};
  if (!type.ends_with("runtimeoptions.v1.Options"))
    return fail(errc::invalid_argument, "options: of type '{}', expected runtimeoptions.v1.Options",
                type);
  runtimeoptions::v1::Options parsed;
  if (!parsed.ParseFromString(options.value()))
    return fail(errc::invalid_argument, "options: is not a runtimeoptions.v1.Options");
  if (!parsed.config_body().empty())
    return fail(errc::invalid_argument, "options.config_body: use config_path instead");
  return parsed.config_path();
}

containerd::v1::types::Status status_of(task_status status) noexcept {
  switch (status) {
  case task_status::created:
    return containerd::v1::types::CREATED;
  case task_status::running:
    return containerd::v1::types::RUNNING;
  case task_status::stopped:
    return containerd::v1::types::STOPPED;
  case task_status::paused:
    return containerd::v1::types::PAUSED;
  }
  return containerd::v1::types::UNKNOWN;
}

} // namespace

outcome<create_task> decode_create(const std::string& bytes) {
  const auto message = TRY(parse<v2::CreateTaskRequest>(bytes));
  if (!message.checkpoint().empty() || !message.parent_checkpoint().empty())
    return fail(errc::unimplemented, "checkpoint: restoring a task is not supported");
  if (!message.bundle().starts_with('/'))
    return fail(errc::invalid_argument, "bundle: must be an absolute path");
  create_task out;
  out.container = TRY(container_id::parse(message.id()));
  out.bundle = message.bundle();
  out.rootfs = TRY(mounts_of(message));
  out.io = {message.stdin(), message.stdout(), message.stderr(), message.terminal()};
  out.config_path = TRY(config_path_of(message.options()));
  return out;
}

outcome<start_process> decode_start(const std::string& bytes) {
  return decode_keyed<start_process, v2::StartRequest>(bytes);
}

outcome<delete_process> decode_delete(const std::string& bytes) {
  return decode_keyed<delete_process, v2::DeleteRequest>(bytes);
}

outcome<wait_process> decode_wait(const std::string& bytes) {
  return decode_keyed<wait_process, v2::WaitRequest>(bytes);
}

outcome<get_state> decode_state(const std::string& bytes) {
  return decode_keyed<get_state, v2::StateRequest>(bytes);
}

outcome<exec_process> decode_exec(const std::string& bytes) {
  const auto message = TRY(parse<v2::ExecProcessRequest>(bytes));
  exec_process out;
  out.key = TRY(key_of(message.id(), message.exec_id()));
  if (out.key.exec.empty())
    return fail(errc::invalid_argument, "exec id: must not be empty nor the container's id");
  out.io = {message.stdin(), message.stdout(), message.stderr(), message.terminal()};
  if (message.spec().type_url() != process_type)
    return fail(errc::invalid_argument, "spec: of type '{}', expected {}",
                message.spec().type_url(), process_type);
  if (message.spec().value().size() > max_process_spec)
    return fail(errc::invalid_argument, "spec: {} bytes, at most {}", message.spec().value().size(),
                max_process_spec);
  out.spec_json = message.spec().value();
  return out;
}

outcome<kill_process> decode_kill(const std::string& bytes) {
  const auto message = TRY(parse<v2::KillRequest>(bytes));
  kill_process out;
  out.key = TRY(key_of(message.id(), message.exec_id()));
  if (message.signal() == 0 || message.signal() > max_signal)
    return fail(errc::invalid_argument, "signal: {} is not 1 ... {}", message.signal(), max_signal);
  out.signal = message.signal();
  out.all = message.all();
  return out;
}

outcome<resize_pty> decode_resize(const std::string& bytes) {
  const auto message = TRY(parse<v2::ResizePtyRequest>(bytes));
  resize_pty out;
  out.key = TRY(key_of(message.id(), message.exec_id()));
  out.columns = message.width();
  out.rows = message.height();
  return out;
}

outcome<close_io> decode_close_io(const std::string& bytes) {
  const auto message = TRY(parse<v2::CloseIORequest>(bytes));
  close_io out;
  out.key = TRY(key_of(message.id(), message.exec_id()));
  if (!message.stdin())
    return fail(errc::invalid_argument, "stdin: only standard input can be closed");
  return out;
}

outcome<list_processes> decode_pids(const std::string& bytes) {
  const auto message = TRY(parse<v2::PidsRequest>(bytes));
  list_processes out;
  out.container = TRY(container_id::parse(message.id()));
  return out;
}

outcome<get_state> decode_connect(const std::string& bytes) {
  const auto message = TRY(parse<v2::ConnectRequest>(bytes));
  get_state out;
  out.key.container = TRY(container_id::parse(message.id()));
  return out;
}

outcome<shutdown_sandbox> decode_shutdown(const std::string& bytes) {
  const auto message = TRY(parse<v2::ShutdownRequest>(bytes));
  shutdown_sandbox out;
  out.now = message.now();
  return out;
}

std::string encode_created(const task_pid& answer) {
  v2::CreateTaskResponse message;
  message.set_pid(answer.pid);
  return message.SerializeAsString();
}

std::string encode_started(const task_pid& answer) {
  v2::StartResponse message;
  message.set_pid(answer.pid);
  return message.SerializeAsString();
}

std::string encode_deleted(const deleted_process& answer) {
  v2::DeleteResponse message;
  message.set_pid(answer.pid);
  message.set_exit_status(answer.exit.status);
  set_time(message.mutable_exited_at(), answer.exit.at);
  return message.SerializeAsString();
}

std::string encode_exit(const exit_record& answer) {
  v2::WaitResponse message;
  message.set_exit_status(answer.status);
  set_time(message.mutable_exited_at(), answer.at);
  return message.SerializeAsString();
}

std::string encode_state(const process_report& answer) {
  v2::StateResponse message;
  message.set_id(answer.key.container.str());
  message.set_exec_id(answer.key.exec.str());
  message.set_bundle(answer.bundle);
  message.set_pid(answer.pid);
  message.set_status(status_of(answer.status));
  message.set_stdin(answer.io.in);
  message.set_stdout(answer.io.out);
  message.set_stderr(answer.io.err);
  message.set_terminal(answer.io.terminal);
  if (answer.exit) {
    message.set_exit_status(answer.exit->status);
    set_time(message.mutable_exited_at(), answer.exit->at);
  } else {
    message.mutable_exited_at()->set_seconds(go_zero_seconds);
  }
  return message.SerializeAsString();
}

std::string encode_pids(const std::vector<process_report>& answer) {
  v2::PidsResponse message;
  for (const auto& process : answer)
    message.add_processes()->set_pid(process.pid);
  return message.SerializeAsString();
}

std::string encode_connect(const process_report& answer, std::uint32_t shim_pid) {
  v2::ConnectResponse message;
  message.set_shim_pid(shim_pid);
  message.set_task_pid(answer.pid);
  return message.SerializeAsString();
}

} // namespace troupe::task_api
