#pragma once

#include "messages/vocabulary/ids.hpp"
#include "messages/vocabulary/request_context.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// The task commands, one struct each, as containerd's Task service and troupectl mean them. Plain
/// data: the shim fills them from protobuf, the actors pass them on, the embedding API takes them.
///
/// Every command names its sandbox; `reply` is what success answers. Failures common to all:
/// not_found (no such sandbox, container or process), restarting (ask again), deadline_exceeded
/// (names the stage), machine_gone, internal. Further ones stand at the command.
namespace troupe {

/// A process: the container's init when `exec` is empty.
struct process_key {
  container_id container;
  exec_id exec;
  friend auto operator<=>(const process_key&, const process_key&) = default;
  /// "c1" or "c1/exec/e1".
  [[nodiscard]] std::string to_string() const;
};

/// Where a process's streams go: fifo paths or URIs as containerd gives them; empty = nowhere.
struct stdio_paths {
  std::string in;
  std::string out;
  std::string err;
  bool terminal = false;
  friend bool operator==(const stdio_paths&, const stdio_paths&) = default;
};

/// One of containerd's mounts that make up a root file system, in order.
struct rootfs_mount {
  std::string type;
  std::string source;
  std::vector<std::string> options;
  friend bool operator==(const rootfs_mount&, const rootfs_mount&) = default;
};

/// Answer of a command that has nothing to tell.
struct done {};

/// Host pid that stands for the process: a live one in the pod's network namespace.
struct task_pid {
  std::uint32_t pid = 0;
};

/// How a process ended. Recorded once, told for ever.
struct exit_record {
  /// 0 ... 255; 128 + n for signal n; 137 when the machine went away under it.
  std::uint32_t status = 0;
  wall_time at{};
  friend bool operator==(const exit_record&, const exit_record&) = default;
};

enum class task_status : std::uint8_t { created, running, stopped, paused };

/// Answer of get_state.
struct process_report {
  process_key key;
  std::string bundle;
  std::uint32_t pid = 0;
  task_status status = task_status::created;
  stdio_paths io;
  std::optional<exit_record> exit;
};

/// Answer of delete_process.
struct deleted_process {
  std::uint32_t pid = 0;
  exit_record exit;
};

/// Makes a container; the first one of a sandbox boots its machine. The same request again (same id
/// and bundle) is answered like the first.
/// invalid_argument: the bundle, its config.json, a runtime option or a mount; names the field.
/// already_exists: the id is taken by another bundle. failed_precondition: the sandbox is ending.
struct create_task {
  using reply = task_pid;
  static constexpr const char* name = "create";
  request_context context;
  sandbox_id sandbox;
  container_id container;
  /// Absolute path of the folder with config.json.
  std::string bundle;
  std::vector<rootfs_mount> rootfs;
  stdio_paths io;
  /// Path of a configuration file from the runtime options; empty = search list.
  std::string config_path;
};

/// Lets a created process run. Starting a running one is answered with its pid.
/// failed_precondition: it has stopped, or its container does not run.
struct start_process {
  using reply = task_pid;
  static constexpr const char* name = "start";
  request_context context;
  sandbox_id sandbox;
  process_key key;
};

/// Registers a further process; start_process runs it.
/// already_exists: the exec id is taken. invalid_argument: the process spec; names the field.
struct exec_process {
  using reply = done;
  static constexpr const char* name = "exec";
  request_context context;
  sandbox_id sandbox;
  process_key key;
  stdio_paths io;
  /// OCI process object, JSON.
  std::string spec_json;
};

/// Removes a process that has ended or never ran; of an init, the whole container.
/// failed_precondition: it still runs.
struct delete_process {
  using reply = deleted_process;
  static constexpr const char* name = "delete";
  request_context context;
  sandbox_id sandbox;
  process_key key;
};

/// Sends a signal. not_found: the process has ended (not with `all`).
struct kill_process {
  using reply = done;
  static constexpr const char* name = "kill";
  request_context context;
  sandbox_id sandbox;
  process_key key;
  std::uint32_t signal = 0;
  /// Every process of the container.
  bool all = false;
};

/// Answers when the process has ended and its output is drained. Waits as long as the caller does.
struct wait_process {
  using reply = exit_record;
  static constexpr const char* name = "wait";
  request_context context;
  sandbox_id sandbox;
  process_key key;
};

struct get_state {
  using reply = process_report;
  static constexpr const char* name = "state";
  request_context context;
  sandbox_id sandbox;
  process_key key;
};

/// Sizes the terminal; before start it is remembered. failed_precondition: no terminal, or ended.
struct resize_pty {
  using reply = done;
  static constexpr const char* name = "resize_pty";
  request_context context;
  sandbox_id sandbox;
  process_key key;
  std::uint32_t columns = 0;
  std::uint32_t rows = 0;
};

/// Ends the process's standard input once what is in the fifo has been read. May come before start.
struct close_io {
  using reply = done;
  static constexpr const char* name = "close_io";
  request_context context;
  sandbox_id sandbox;
  process_key key;
};

/// Every process of a container, as (pid, exec id).
struct list_processes {
  using reply = std::vector<process_report>;
  static constexpr const char* name = "pids";
  request_context context;
  sandbox_id sandbox;
  container_id container;
};

/// Ends the sandbox in order. While containers live it is ignored unless `now`; with none left the
/// machine is stopped and everything is undone. Repeating it is harmless.
struct shutdown_sandbox {
  /// Whether the sandbox is gone now.
  using reply = bool;
  static constexpr const char* name = "shutdown";
  request_context context;
  sandbox_id sandbox;
  bool now = false;
};

} // namespace troupe
