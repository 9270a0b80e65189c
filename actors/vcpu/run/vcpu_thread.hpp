#pragma once

#include "actors/vcpu/kvm/vcpu.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "actors/vcpu/run/control.hpp"
#include "actors/vcpu/run/counters.hpp"
#include "actors/vcpu/run/exits.hpp"
#include "actors/vcpu/run/processor_port.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace troupe::vcpu {

struct thread_options {
  /// Keeps the machine until the thread is gone.
  std::shared_ptr<kvm::vcpu> processor;
  /// Never empty.
  std::shared_ptr<io_handler> io;
  /// Only read to tell what instruction a guest died at; may be empty.
  std::shared_ptr<const memory::guest_memory> ram;
  /// Runs first on the thread: set the processor up, drop capabilities, install a seccomp filter.
  /// Its failure parks the processor with start_failed.
  std::function<outcome<void>()> on_thread_start;
  /// Hears of every phase the thread reaches, on the thread, holding no lock. May call ask().
  std::function<void(phase)> on_phase;
};

/// One virtual processor's OS thread, "vcpuN". It begins paused, and never polls: it is in the
/// guest, in a handler, or asleep.
///
/// Commands are asked for and obeyed later; on_phase tells without a wait, await() with one.
///
///   created -> paused <-> running -> parked -> ended      (end leads to `ended` from anywhere)
///
/// Thread rule: any thread, but one at a time gives commands; the destructor never on the
/// processor's own. Registers (`processor`) may be touched in every phase but running.
class vcpu_thread final : public processor_port {
public:
  /// failed_precondition: the kick signal is taken; host_io: no thread.
  [[nodiscard]] static outcome<std::unique_ptr<vcpu_thread>> start(thread_options options);

  vcpu_thread(const vcpu_thread&) = delete;
  vcpu_thread& operator=(const vcpu_thread&) = delete;
  /// Ends and joins. Blocks while a handler does; call end() first to be sure it does not.
  ~vcpu_thread() override;

  /// Begins a command; a thread in the guest is brought out of it. Failures as control::ask().
  [[nodiscard]] outcome<void> ask(command what) override;
  /// Waits until `what`, asked for before, is obeyed. deadline_exceeded names what the thread is
  /// busy with; cancelled: another command has taken its place; machine_gone: run, but it parked.
  [[nodiscard]] outcome<void> await(command what, milliseconds limit);

  /// Lets the guest run, for the first time or again after a pause.
  [[nodiscard]] outcome<void> run() { return ask(command::run); }
  /// ask() and await(). When it returns, an access to a device that was under way is complete.
  [[nodiscard]] outcome<void> pause(milliseconds limit);
  /// ask() and await(): the thread has nothing left to do.
  [[nodiscard]] outcome<void> end(milliseconds limit);

  [[nodiscard]] std::uint32_t id() const noexcept override { return options_.processor->id(); }
  [[nodiscard]] phase where() const override;
  /// Why it parked or ended; empty before.
  [[nodiscard]] std::optional<vcpu_end> why() const override;
  [[nodiscard]] const counters& count() const noexcept override { return count_; }
  [[nodiscard]] kvm::vcpu& processor() const noexcept { return *options_.processor; }

private:
  explicit vcpu_thread(thread_options options) : options_(std::move(options)) {}

  void body() noexcept;
  void begin();
  [[nodiscard]] bool obey();
  void become(phase where, std::unique_lock<std::mutex>& lock);
  void turn();
  void serve();
  void finish_instruction();
  void park(vcpu_end how);
  void tell(phase where) noexcept;
  void busy_with(const kvm::exit_event& exit) noexcept;
  void doing(std::uint64_t what) noexcept { doing_.store(what, std::memory_order_relaxed); }
  [[nodiscard]] std::string stage() const;

  thread_options options_;
  counters count_;

  // The thread's own.
  bool instruction_open_ = false;

  // Whether `control_` must be looked at before the guest is entered again.
  std::atomic<bool> attention_ = true;
  // What the thread is doing, for the text of a missed deadline: see stage().
  std::atomic<std::uint64_t> doing_ = 0;
  std::atomic<pid_t> tid_ = 0;

  mutable std::mutex mutex_; // Guards the three below.
  std::condition_variable changed_;
  control control_;
  std::optional<vcpu_end> why_;

  std::thread thread_;
};

} // namespace troupe::vcpu
