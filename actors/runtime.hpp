#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/vcpu/machine_plan.hpp"
#include "config/config.hpp"
#include "messages/events.hpp"
#include "messages/task_call.hpp"

#include <asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

class fault_plan;

struct runtime_options {
  /// Called with every event, in order per process, from actor threads; must not block.
  std::function<void(const event::record&)> on_event;
  /// A sandbox ended without being asked: its supervisor gave up. What it held has been undone.
  std::function<void(const sandbox_id&, const failure&)> on_sandbox_lost;
  /// A sandbox's machine, which ran, has ended: by itself or by a shutdown. Told once, before what
  /// belonged to it is undone; from actor threads; must not block.
  std::function<void(const sandbox_id&, const hypervisor::exit_info&)> on_machine_end;
  /// Where the probe of /dev/kvm is remembered; an existing folder of mode 0700.
  std::string cache_directory;
  /// Threads that serve the queues of all machines.
  std::size_t device_threads = 1;
  /// Faults to be played in this process. A sandbox whose configuration has a `fault_plan` arms it.
  std::shared_ptr<fault_plan> faults;
};

struct sandbox_options {
  sandbox_id id;
  /// Absolute path of the pod's own folder; made when it boots, removed when it ends.
  std::string directory;
  /// Without it the configuration files and the bundle's annotations are read when it boots.
  std::optional<config::config> values;
  /// The configuration's kernel is the whole payload: an ELF file without an agent of ours, and no
  /// need of an initrd. Such a sandbox is booted by boot(), ends with its machine or by
  /// shutdown_sandbox, and holds no containers. The built-in VMM's alone.
  bool bare = false;
  /// Opened when the machine boots; at most max_disks.
  std::vector<machine_disk> disks{};
};

/// A host of sandboxes within one process: the composition root, and the way to embed Troupe.
///
///     auto host = TRY(runtime::start(options));
///     TRY(host->add_sandbox({id, "/run/mine/pods/p1", my_config}));
///     host->submit(task_call<create_task>{command, reply_box<task_pid>{then}});
///
/// Any thread. The program keeps its signals: every thread made here blocks them all.
class runtime {
public:
  [[nodiscard]] static outcome<std::unique_ptr<runtime>> start(runtime_options options);
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;
  /// stop() with a default patience.
  ~runtime();

  /// Makes the actors of one pod; its machine boots with the first create_task or with boot().
  /// already_exists, invalid_argument. Blocks for an instant; not from a thread of the runtime.
  [[nodiscard]] outcome<void> add_sandbox(sandbox_options options);

  /// Boots the machine ahead of any container; answered when its agent answers, or when a bare
  /// payload runs; with how that ended, if it was quicker.
  void boot(const sandbox_id& id, milliseconds patience, reply_box<void> reply);

  /// Stops the machine, processors and devices, or lets it go on; see pause_machine. Its containers
  /// stand still and commands to them wait.
  void pause(const sandbox_id& id, milliseconds patience, reply_box<void> reply);
  void resume(const sandbox_id& id, milliseconds patience, reply_box<void> reply);

  /// Hands a command in. A part that is being restarted is asked again until the command's
  /// deadline.
  void submit(any_task_call call);

  /// Lets go of a sandbox that was shut down. not_found.
  [[nodiscard]] outcome<void> remove_sandbox(const sandbox_id& id);

  /// The thread of sockets and fifos, for the program's own.
  [[nodiscard]] asio::io_context& io();

  /// Ends every sandbox in order and all threads. deadline_exceeded: names what hangs.
  outcome<void> stop(milliseconds patience);

private:
  class core;
  explicit runtime(std::unique_ptr<core> made);
  std::unique_ptr<core> core_;
};

} // namespace troupe
