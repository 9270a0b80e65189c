#pragma once

#include "actors/devices/console/console_log.hpp"
#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/sandbox/hypervisor/qemu/qmp_client.hpp"
#include "actors/sandbox/hypervisor/qemu/spawn.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <map>
#include <set>

namespace troupe::hypervisor::qemu {

/// The driver. Verbs come from fx workers; the io thread reads QMP, console, output and the pidfd.
/// `mutex_` guards everything but the QMP client, which has its own; no callback runs under it.
class machine final : public driver, public std::enable_shared_from_this<machine> {
public:
  machine(fd_watcher& watcher, event_handler on_event);
  ~machine() override;
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;

  outcome<void> prepare(const machine_config& config) override;
  outcome<void> start(time_point deadline) override;
  outcome<exit_info> stop(time_point deadline) override;
  outcome<exit_info> wait(time_point deadline) override;
  outcome<void> pause(time_point deadline) override;
  outcome<void> resume(time_point deadline) override;
  outcome<void> save(const std::string& path, time_point deadline) override;
  outcome<machine_size> resize(const machine_size& wanted, time_point deadline) override;
  outcome<void> add_device(const device& what, time_point deadline) override;
  outcome<void> remove_device(const std::string& id, time_point deadline) override;
  outcome<void> update_device(const device& what, time_point deadline) override;
  outcome<std::string> agent_address() const override;
  hypervisor::capabilities capabilities() const override;
  outcome<machine_metrics> metrics() const override;
  std::optional<process_identity> process() const override;
  std::vector<std::string> console_tail() const override;

private:
  enum class phase : std::uint8_t { fresh, prepared, starting, running, ended };
  using lock = std::unique_lock<std::mutex>;

  /// The parent's ends of what the child is given.
  struct channels {
    unique_fd qmp;
    unique_fd console;
    unique_fd output;
  };

  // machine.cpp: the process
  [[nodiscard]] outcome<void> launch();
  [[nodiscard]] outcome<void> watch_all();
  /// A watched callback that does not keep the machine alive.
  [[nodiscard]] std::function<bool()> weakly(bool (machine::*callback)());
  [[nodiscard]] outcome<void> abandon(failure why);
  void signal_kill() noexcept;
  [[nodiscard]] outcome<std::shared_ptr<qmp_client>> running(std::string_view verb) const;
  /// Waits for a condition that an event makes true, or for the end. @pre `held` locks mutex_.
  [[nodiscard]] outcome<void> await(lock& held, time_point deadline, std::string_view stage,
                                    const std::function<bool()>& done);

  // machine_io.cpp: the io thread
  bool on_qmp();
  bool on_console();
  bool on_output();
  bool on_exit();
  void on_event(const qmp::event& what);
  void note(const qmp::event& what);
  [[nodiscard]] exit_info describe_exit(int code, int status) const;
  void tell(const machine_event& what) const;

  // machine_size.cpp
  [[nodiscard]] machine_size size() const;
  [[nodiscard]] outcome<void> grow_processors(qmp_client& qmp, std::uint32_t wanted,
                                              time_point deadline);
  [[nodiscard]] outcome<void> shrink_processors(qmp_client& qmp, std::uint32_t wanted,
                                                time_point deadline);
  [[nodiscard]] outcome<void> set_memory(qmp_client& qmp, byte_count wanted, time_point deadline);
  [[nodiscard]] outcome<void> migrate_to(qmp_client& qmp, int file, time_point deadline);
  [[nodiscard]] outcome<std::uint32_t> take_port(const device& what);
  [[nodiscard]] outcome<void> unplug(qmp_client& qmp, const std::string& id, time_point deadline);

  struct plugged {
    device what;
    /// Of a root port; nothing for a device that was there at boot.
    std::optional<std::uint32_t> port;
  };

  fd_watcher& watcher_;
  event_handler on_event_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  phase phase_ = phase::fresh;
  machine_config config_;
  channels channels_;
  child child_;
  std::shared_ptr<qmp_client> qmp_;
  bool stopping_ = false;
  std::optional<exit_info> exit_;
  std::string shutdown_reason_;
  std::string migration_status_;
  std::set<std::string> deleted_;
  std::map<std::string, plugged> devices_;
  std::uint32_t vcpus_ = 0;
  byte_count memory_ = 0;

  console::console_log console_;
  console::text_lines output_lines_; // The io thread's.
  console::tail output_tail_;        // Guarded by mutex_.
};

} // namespace troupe::hypervisor::qemu
