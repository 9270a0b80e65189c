#pragma once

#include "actors/devices/transport/mmio/board.hpp"
#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/vcpu/machine/machine.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

namespace troupe::hypervisor::builtin {

/// How the machine ended. Its threads know this and never the driver, whose destructor waits for
/// them. Any thread.
class fate {
public:
  explicit fate(event_handler on_event) : on_event_(std::move(on_event)) {}

  /// The machine's own word; told to the handler unless start() has failed by then.
  void ended(const vcpu::ending& how);
  /// start() fails: there is no end to tell of, but one to answer with.
  void abandon(const exit_info& how);
  void tell(const machine_event& what) const;
  /// News of a processor; none after the end.
  void moved(std::uint32_t id, vcpu::phase where) const;

  [[nodiscard]] std::optional<exit_info> exit() const;
  /// Nothing at the deadline.
  [[nodiscard]] std::optional<exit_info> wait(time_point deadline) const;

private:
  event_handler on_event_;
  mutable std::mutex mutex_; // Guards all below.
  mutable std::condition_variable changed_;
  bool abandoned_ = false;
  std::optional<exit_info> exit_;
};

/// The driver. Verbs come from fx workers, the end from a thread of the machine. `mutex_` guards
/// what is below it; nothing is called under it.
class machine final : public driver {
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

  enum class phase : std::uint8_t { fresh, prepared, starting, running, ended };

  [[nodiscard]] outcome<machine_ptr> bring_up(time_point deadline);
  [[nodiscard]] outcome<void> assemble(const machine_ptr& made);
  [[nodiscard]] outcome<void> go_on(time_point deadline) const;
  [[nodiscard]] outcome<machine_ptr> running(std::string_view verb) const;
  outcome<void> unless_gone(outcome<void> result) const;
  [[nodiscard]] outcome<void> pause_devices(time_point deadline) const;
  outcome<void> resume_devices(time_point deadline) const;
  void let_go(const machine_ptr& of) const;

  std::shared_ptr<const mmio::board> devices_;
  std::shared_ptr<fate> fate_;
  machine_config config_; ///< settled once start() has begun
  /// Of the devices, whose actors own them; settled once start() is through.
  std::vector<std::weak_ptr<mmio::session>> sessions_;

  mutable std::mutex mutex_;
  std::condition_variable settled_; ///< start() is through
  machine_ptr machine_;             ///< while running
  phase phase_ = phase::fresh;
  bool stopping_ = false;
};

} // namespace troupe::hypervisor::builtin
