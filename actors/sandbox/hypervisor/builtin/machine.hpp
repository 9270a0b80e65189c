#pragma once

#include "actors/devices/transport/mmio/board.hpp"
#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/vcpu/machine/machine.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

namespace troupe::hypervisor::builtin {

/// The driver. Verbs come from fx workers, the end from a thread of the machine. `mutex_` guards
/// what is below it; nothing is called under it.
class machine final : public driver, public std::enable_shared_from_this<machine> {
public:
  machine(std::shared_ptr<const mmio::board> devices, event_handler on_event);
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
  std::vector<std::shared_ptr<vcpu::processor_port>> processors() const override;
  std::vector<std::string> console_tail() const override;

private:
  using machine_ptr = std::shared_ptr<vcpu::machine>;

  [[nodiscard]] outcome<void> assemble(const machine_ptr& made) const;
  [[nodiscard]] outcome<machine_ptr> running(std::string_view verb) const;
  void ended(const vcpu::ending& how);
  void let_go(const machine_ptr& of) const;

  std::shared_ptr<const mmio::board> devices_;
  event_handler on_event_;
  machine_config config_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  machine_ptr machine_; ///< from start() to stop()
  bool prepared_ = false;
  bool started_ = false;
  bool abandoned_ = false; ///< start() failed: there is no end to tell of
  std::optional<exit_info> exit_;
};

} // namespace troupe::hypervisor::builtin
