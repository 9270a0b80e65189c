#pragma once

#include "actors/vcpu/kvm/vm.hpp"
#include "actors/vcpu/memory/ram.hpp"
#include "actors/vcpu/run/vcpu_thread.hpp"
#include "tests/support/must.hpp"

#include <sys/eventfd.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

/// The least machine that runs a guest of tests/kvm/guests, and a bus that remembers.
namespace troupe::testing {

// As in guests/guest.inc.
inline constexpr std::uint16_t port_result = 0x10;
inline constexpr std::uint16_t port_input = 0x12;
inline constexpr std::uint16_t port_done = 0xf4;
inline constexpr gpa device = 0xd0000000;
inline constexpr gpa data = 0x600;
inline constexpr gpa code = 0x1000;

/// Emulating KVMs and busy hosts: far more than anything here takes.
inline constexpr milliseconds patience{20'000};

struct written {
  bool memory = false;
  std::uint64_t at = 0;
  std::size_t width = 0;
  std::uint64_t value = 0;
  friend bool operator==(const written&, const written&) = default;
};

/// Reads answer bytes 0xa0, 0xa1 ... (ports) or 0xd0 + offset ... (the device).
class test_bus : public vcpu::io_handler {
public:
  explicit test_bus(vcpu::after_write at_done) : at_done_(at_done) {}

  void port_read(std::uint16_t port, std::span<std::byte> into) override;
  [[nodiscard]] vcpu::after_write port_write(std::uint16_t port,
                                             std::span<const std::byte> from) override;
  void memory_read(gpa at, std::span<std::byte> into) override;
  [[nodiscard]] vcpu::after_write memory_write(gpa at, std::span<const std::byte> from) override;

  /// What was written so far, but for port_done.
  [[nodiscard]] std::vector<written> writes() const;
  /// Waits for so many writes, or for one to port_done; false after `patience`.
  [[nodiscard]] bool wait_writes(std::size_t count);
  [[nodiscard]] bool wait_done();

private:
  void remember(const written& it);

  vcpu::after_write at_done_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<written> writes_;
  bool done_ = false;
};

enum class cpu_mode { real, flat32 };
enum class irqchip { none, in_kernel };

/// A machine of 2 MiB with one guest loaded at `code`. Its first processor is set to begin there;
/// without an interrupt controller all are, since nobody could start them later.
class machine {
public:
  machine(const std::string& guest, cpu_mode mode, std::shared_ptr<vcpu::io_handler> bus,
          irqchip chip = irqchip::none, std::uint32_t processors = 1);

  [[nodiscard]] kvm::vm& vm() { return *vm_; }
  [[nodiscard]] const memory::guest_memory& ram() { return *ram_; }
  [[nodiscard]] vcpu::vcpu_thread& cpu(std::size_t i = 0) { return *threads_[i]; }
  [[nodiscard]] std::size_t cpus() const { return threads_.size(); }

  void run_all();
  /// Waits until the first processor parks, and says why.
  [[nodiscard]] vcpu::vcpu_end wait_parked();
  [[nodiscard]] std::uint32_t word(gpa at) const;
  void set_word(gpa at, std::uint32_t value) const;

private:
  std::shared_ptr<const memory::guest_memory> ram_;
  std::shared_ptr<kvm::vm> vm_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool parked_ = false;
  std::vector<std::unique_ptr<vcpu::vcpu_thread>> threads_; // Gone before what they notify.
};

/// The checked /dev/kvm of this host; tests run only where there is one.
[[nodiscard]] const kvm::system& host();

[[nodiscard]] kvm::shared_event make_event();
/// False after `patience`.
[[nodiscard]] bool wait_signalled(const kvm::shared_event& event);
/// How often it was signalled since the last look.
[[nodiscard]] std::uint64_t take(const kvm::shared_event& event);

} // namespace troupe::testing
