#pragma once

#include "actors/sandbox/hypervisor/machine_config.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace troupe::vcpu {
class processor_port;
enum class phase : std::uint8_t;
} // namespace troupe::vcpu

namespace troupe::hypervisor {

/// Tells when a descriptor can be read; the daemon's io thread behind a port.
class fd_watcher {
public:
  virtual ~fd_watcher() = default;
  /// Calls `on_readable` on the io thread whenever `fd` is readable or at its end, one call at a
  /// time, until it returns false. The watch holds its own duplicate of `fd`, so the caller may
  /// close its own at any time. host_io: out of descriptors.
  [[nodiscard]] virtual outcome<void> watch(int fd, std::function<bool()> on_readable) = 0;
};

/// Which of the optional verbs work on this machine.
struct capabilities {
  /// The machine is a process of its own, which must be undone should we die; else it dies with us.
  bool own_process = false;
  bool pause = false;
  bool save = false;
  bool block_hotplug = false;
  bool net_hotplug = false;
  bool vcpu_hotplug = false;
  bool memory_resize = false;
  bool vhost_user_fs = false;
  /// vsock is a unix socket of ours with the CONNECT handshake ("hybrid"), not the kernel's.
  bool hybrid_vsock = false;
};

enum class end_reason : std::uint8_t {
  guest_shutdown, ///< the guest powered off
  guest_reset,    ///< the guest rebooted: with panic=-1 that is also how a panic ends
  guest_panic,    ///< the guest said so through pvpanic
  stopped,        ///< stop() did it
  killed,         ///< a signal from outside
  failed,         ///< the hypervisor gave up: see `text`
};
[[nodiscard]] std::string_view name(end_reason why) noexcept;

/// How a machine ended. Told once by machine_ended and kept for wait() and stop().
struct exit_info {
  end_reason reason = end_reason::failed;
  /// Exit status of the process, or -1 when a signal ended it.
  int status = -1;
  int signal = 0;
  /// One line: the reason with the last words on the hypervisor's stderr.
  std::string text;
};

struct machine_ended {
  exit_info how;
};
struct machine_paused {};
struct machine_resumed {};
struct device_removed {
  std::string id;
};
/// A processor of a machine in this process stands, runs or has ended.
struct processor_moved {
  std::uint32_t id = 0;
  vcpu::phase where{};
};
using machine_event =
    std::variant<machine_ended, machine_paused, machine_resumed, device_removed, processor_moved>;
/// Called on the io thread or one of the machine's; must not block. machine_ended comes exactly
/// once, as the last event but for news of processors that were on their way, after start() got as
/// far as making a process or a machine.
using event_handler = std::function<void(const machine_event&)>;

/// The process of a machine, for its journal record and for the cgroups.
struct process_identity {
  pid_t pid = 0;
  /// As in journal::process_effect.
  std::uint64_t start_time = 0;
};

struct machine_metrics {
  /// CPU time of the process, all threads.
  milliseconds user_time{0};
  milliseconds system_time{0};
  /// Resident memory of the process, guest memory included.
  byte_count resident = 0;
  std::uint32_t threads = 0;
  std::uint32_t vcpus = 0;
  /// What the guest has now: boot memory without what the balloon took.
  byte_count guest_memory = 0;
};

/// What resize() was asked for or reached. Zero: leave it as it is.
struct machine_size {
  std::uint32_t vcpus = 0;
  byte_count memory = 0;
};

/// One virtual machine. Every verb blocks until done or until its deadline and belongs on an fx
/// worker. All are thread-safe; stop() may cut in on any other, which then fails with machine_gone.
///
/// Failures of every verb: deadline_exceeded and host_io name the stage ("qemu: wait for QMP");
/// machine_gone: the machine ended, at once, whatever was being waited for; failed_precondition:
/// not started, or started twice; unimplemented: names what this machine type cannot do;
/// peer_fault: the hypervisor broke its own protocol or refused.
class driver {
public:
  virtual ~driver() = default;

  /// Checks the whole configuration against the host, without any effect.
  /// invalid_argument or not_found that name the configuration key.
  [[nodiscard]] virtual outcome<void> prepare(const machine_config& config) = 0;

  /// Makes the process and lets the guest run. @pre prepare() succeeded, the process is journalled
  /// by its token. After a failure nothing is left running; its text holds the hypervisor's own
  /// last words.
  [[nodiscard]] virtual outcome<void> start(time_point deadline) = 0;

  /// Ends the machine: asks, and kills when a share of the time has passed in vain. Idempotent: the
  /// second call and a call after the machine's own end answer the same exit.
  [[nodiscard]] virtual outcome<exit_info> stop(time_point deadline) = 0;

  /// Waits for the end. Owners that must not block listen to machine_ended instead.
  [[nodiscard]] virtual outcome<exit_info> wait(time_point deadline) = 0;

  [[nodiscard]] virtual outcome<void> pause(time_point deadline) = 0;
  [[nodiscard]] virtual outcome<void> resume(time_point deadline) = 0;

  /// Writes the machine's state to `path` (made, mode 0600). The machine is paused afterwards.
  [[nodiscard]] virtual outcome<void> save(const std::string& path, time_point deadline) = 0;

  /// @returns what was reached; the guest may still have to bring new CPUs online.
  [[nodiscard]] virtual outcome<machine_size> resize(const machine_size& wanted,
                                                     time_point deadline) = 0;

  /// already_exists: that id is taken; resource_exhausted: no spare port.
  [[nodiscard]] virtual outcome<void> add_device(const device& what, time_point deadline) = 0;
  /// Returns when the guest has let go. not_found: no such device.
  [[nodiscard]] virtual outcome<void> remove_device(const std::string& id, time_point deadline) = 0;
  /// A block device whose file has another size now: the guest is told.
  [[nodiscard]] virtual outcome<void> update_device(const device& what, time_point deadline) = 0;

  /// Where the agent is reached: "hvsock://<path>:1024" for hybrid vsock. not_found: no vsock
  /// device.
  [[nodiscard]] virtual outcome<std::string> agent_address() const = 0;
  [[nodiscard]] virtual hypervisor::capabilities capabilities() const = 0;
  [[nodiscard]] virtual outcome<machine_metrics> metrics() const = 0;

  /// Nothing before start().
  [[nodiscard]] virtual std::optional<process_identity> process() const = 0;
  /// The processors of a machine in this process; they outlive their commander's restarts. Others
  /// have none to show.
  [[nodiscard]] virtual std::vector<std::shared_ptr<vcpu::processor_port>> processors() const {
    return {};
  }
  /// The last lines of the guest's console, oldest first, at most console_tail_lines.
  [[nodiscard]] virtual std::vector<std::string> console_tail() const = 0;
};

inline constexpr std::size_t console_tail_lines = 20;

} // namespace troupe::hypervisor
