#pragma once

#include "messages/task.hpp"

#include <variant>

/// What happened, for those who subscribed: containerd by ttRPC, an embedding host by callback.
/// Per process the order is created < started < exited < deleted, each once.
namespace troupe::event {

struct task_created {
  container_id container;
  std::string bundle;
  std::vector<rootfs_mount> rootfs;
  stdio_paths io;
  std::uint32_t pid = 0;
};
struct task_started {
  container_id container;
  std::uint32_t pid = 0;
};
struct exec_added {
  process_key key;
};
struct exec_started {
  process_key key;
  std::uint32_t pid = 0;
};
struct process_exited {
  process_key key;
  std::uint32_t pid = 0;
  exit_record exit;
};
/// Only of an init: containerd is told nothing when an exec is deleted.
struct task_deleted {
  container_id container;
  std::uint32_t pid = 0;
  exit_record exit;
};
struct task_oom {
  container_id container;
};

using any = std::variant<task_created, task_started, exec_added, exec_started, process_exited,
                         task_deleted, task_oom>;

/// An event with its time and place.
struct record {
  sandbox_id sandbox;
  wall_time at{};
  any what;
};

} // namespace troupe::event
