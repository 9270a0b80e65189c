#pragma once

#include "messages/task_call.hpp"
#include "messages/ttrpc/server.hpp"

#include <functional>
#include <memory>

namespace troupe::task_api {

struct task_service_options {
  sandbox_id sandbox;
  /// What Connect answers as shim pid.
  std::uint32_t shim_pid = 0;
  /// A task that could be asked for nothing would hang its caller: requests without a deadline get
  /// this one. Wait has none.
  milliseconds default_deadline = seconds{300};
  /// The sandbox is gone: the daemon may end. Called on the server's strand, at most once.
  std::function<void()> on_gone;
};

/// containerd's Task service, version 2, for peers of our own user: every method decodes, hands a
/// command to `port` and encodes the answer. It keeps nothing, so it cannot lose anything.
/// Checkpoint, Pause, Resume, Stats and Update answer `unimplemented`. `io` outlives the server.
[[nodiscard]] std::unique_ptr<ttrpc::server> make_task_server(asio::io_context& io, task_port port,
                                                              task_service_options options);

/// Name of the service on the wire.
inline constexpr const char* task_service_name = "containerd.task.v2.Task";

} // namespace troupe::task_api
