#pragma once

#include "actors/devices/bus/address_space.hpp"
#include "actors/devices/console/console_log.hpp"
#include "actors/devices/transport/mmio/machine_port.hpp"
#include "actors/vcpu/boot/load.hpp"
#include "actors/vcpu/kvm/system.hpp"
#include "actors/vcpu/kvm/vm.hpp"
#include "actors/vcpu/machine/ending.hpp"
#include "actors/vcpu/memory/ram.hpp"
#include "actors/vcpu/run/vcpu_thread.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::vcpu {

/// Lines of the guest's console that are kept.
inline constexpr std::size_t console_lines = 20;

/// What a machine is made of. Values only; paths are absolute.
struct machine_order {
  /// For the log.
  std::string name;
  byte_count memory = mib(256);
  memory::page_kind pages = memory::page_kind::ordinary;
  /// Takes all of it before boot.
  bool prealloc = false;
  std::uint32_t vcpus = 1;
  /// Processors that can ever be plugged in; at least `vcpus`.
  std::uint32_t max_vcpus = 1;
  /// Windows for devices, numbered from 0; an empty one is found empty by the guest.
  std::uint32_t windows = 0;
  boot::discovery discovery = boot::discovery::acpi;
  /// A port that ends the machine with a code, for guests that are tests.
  bool exit_port = false;
};

/// What is loaded into it.
struct payload {
  std::string kernel;
  /// Empty: none.
  std::string initrd;
  std::string command_line;
};

/// One virtual machine within this process: RAM, KVM, processors, the two buses, and what of a PC
/// it has. Virtio devices are added to it by whoever serves them, through the port that it is.
///
/// Life: create, plug devices, load (no guest code runs yet), then resume and pause at will, end.
/// The machine may also end by itself: told once, see `ended`.
///
/// Ownership makes the order of teardown: a device's session keeps the machine (its doorbells are
/// the kernel's), the machine keeps its RAM. Dropping the last reference takes some 16 ms when the
/// machine is young: not in an RPC.
///
/// Thread rule: one caller at a time, on a thread that may block, none of the machine's own.
class machine final : public mmio::machine_port {
public:
  /// Called once, on a thread of the machine, when it ends by itself or by end(). Must not block.
  using ended_handler = std::function<void(const ending&)>;
  /// Called for every phase that a processor reaches, on its thread. Must not block.
  using moved_handler = std::function<void(std::uint32_t id, phase where)>;

  /// RAM, memory slots, interrupt controller, processors; in this order, since memory that is added
  /// later costs 8 ms. The processors set themselves up meanwhile, see load(). not_found or
  /// unimplemented: this host has no KVM that will do; invalid_argument names the field;
  /// resource_exhausted, host_io.
  [[nodiscard]] static outcome<std::shared_ptr<machine>>
  create(machine_order order, ended_handler ended, moved_handler moved = {});
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;
  /// end() with a default deadline.
  ~machine() override;

  [[nodiscard]] const std::shared_ptr<const memory::guest_memory>& ram() const noexcept {
    return ram_.memory;
  }
  /// @pre index < order.windows
  [[nodiscard]] static memory::device_window window(std::uint32_t index) noexcept;

  /// Puts a device's registers on the bus. already_exists: something is there.
  [[nodiscard]] outcome<void> plug(std::uint32_t index, std::shared_ptr<bus::target> registers);
  /// On return no processor is within it. Unknown windows are ignored.
  void unplug(std::uint32_t index) noexcept;

  [[nodiscard]] outcome<std::unique_ptr<mmio::connection>>
  connect_doorbell(gpa at, std::uint32_t queue, mmio::shared_event event) override;
  [[nodiscard]] outcome<std::unique_ptr<bus::irq_line>> interrupt(std::uint32_t gsi) override;

  /// Loads the payload and waits for the processors, which stand before their first instruction
  /// until resume(). Once, after the devices. As boot::load, and host_io: also of a processor that
  /// could not be set up; machine_gone: it was ended before.
  [[nodiscard]] outcome<void> load(const payload& what);
  /// load() and resume().
  [[nodiscard]] outcome<void> boot(const payload& what);

  /// Stops all processors between two instructions. deadline_exceeded names the one that did not.
  [[nodiscard]] outcome<void> pause(milliseconds limit);
  /// failed_precondition: nothing is loaded.
  [[nodiscard]] outcome<void> resume();

  /// No processor runs afterwards, and none ever will. Idempotent. deadline_exceeded names the
  /// processor that hangs and where.
  outcome<void> end(milliseconds limit);

  /// How it ended; nothing while it lives.
  [[nodiscard]] std::optional<ending> how() const { return end_.how(); }
  [[nodiscard]] std::vector<const counters*> counts() const;
  [[nodiscard]] std::vector<std::shared_ptr<processor_port>> processors() const {
    return {threads_.begin(), threads_.end()};
  }
  /// Thread id of the first processor; 0 before load().
  [[nodiscard]] pid_t first_thread() const noexcept { return first_thread_; }
  [[nodiscard]] console::console_log& console() noexcept { return console_; }
  [[nodiscard]] const bus::access_counters& mmio_accesses() const noexcept {
    return mmio_.counters();
  }

private:
  machine(machine_order order, ended_handler ended, moved_handler moved);
  outcome<void> make(const kvm::system& host);
  outcome<void> add_legacy_devices();
  outcome<boot::boot_plan> fill_memory(const payload& what);
  outcome<void> add_processor(std::uint32_t id, const std::vector<kvm_cpuid_entry2>& supported);
  outcome<void> gather_processors() const;
  void heard(std::size_t index, phase where);
  void finish(ending how);

  machine_order order_;
  console::console_log console_;
  bus::address_space pio_{bus::space::pio};
  bus::address_space mmio_{bus::space::mmio};
  end_record end_;
  moved_handler moved_;
  memory::ram ram_;
  std::shared_ptr<kvm::vm> vm_;
  std::shared_ptr<io_handler> handler_;
  /// Complete before any of them runs.
  std::vector<std::shared_ptr<vcpu_thread>> threads_;
  bool filled_ = false; // load() was called.
  std::atomic<bool> loaded_ = false;
  std::atomic<pid_t> first_thread_ = 0;
};

} // namespace troupe::vcpu
