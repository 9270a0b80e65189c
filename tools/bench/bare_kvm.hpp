#pragma once

#include "actors/vcpu/kvm/abi.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <linux/kvm.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace troupe::bench {

/// What a processor is given before it can run a 64-bit kernel: the same as ours gives it.
class kernel_state {
public:
  /// Asks KVM what its processors can be; takes 0.4 ms where CPUID is emulated.
  [[nodiscard]] static outcome<kernel_state> make();
  [[nodiscard]] outcome<void> give_to(int processor);

private:
  using cpuid_list = kvm::abi::counted<kvm::abi::counted_head, kvm_cpuid_entry2>;
  using msr_list = kvm::abi::counted<kvm::abi::counted_head, kvm_msr_entry>;
  kernel_state(cpuid_list cpuid, msr_list msrs)
      : cpuid_(std::move(cpuid)), msrs_(std::move(msrs)) {}

  cpuid_list cpuid_;
  msr_list msrs_;
};

/// The system calls without which there is no machine, in the order that costs least, and nothing
/// else: what ours is held against. One thread.
class bare_kvm {
public:
  struct order {
    byte_count memory = mib(2);
    std::uint32_t doorbells = 0;
    std::uint32_t lines = 0;
    /// For the processor; null: it is left as KVM makes it.
    kernel_state* state = nullptr;
  };
  /// Guest address of code; where a guest's device would be.
  static constexpr gpa code_at = 0x1000;
  static constexpr gpa device_at = 0xd0000000;

  [[nodiscard]] static outcome<bare_kvm> make(const order& what);
  bare_kvm(bare_kvm&&) noexcept = default;
  bare_kvm& operator=(bare_kvm&&) = delete;
  ~bare_kvm();

  /// Puts the processor before this code, in flat 32-bit mode.
  [[nodiscard]] outcome<void> aim(std::span<const std::uint8_t> code);
  /// Lets the guest run until the next exit; answers its KVM_EXIT number.
  [[nodiscard]] outcome<std::uint32_t> run() const;
  /// The port of the last exit, if it was one.
  [[nodiscard]] std::uint16_t port() const noexcept { return shared_->io.port; }
  /// Of doorbell `index`, which is rung by a 4-byte write of 0 to device_at + 4 * index.
  [[nodiscard]] int doorbell(std::size_t index) const noexcept { return doorbells_[index].get(); }

private:
  bare_kvm() = default;
  outcome<void> make_memory(byte_count size);
  outcome<void> make_processor();
  outcome<void> bind(const order& what);

  unique_fd kvm_;
  unique_fd file_;
  unique_fd machine_;
  unique_fd processor_;
  std::span<std::byte> memory_;
  std::size_t shared_size_ = 0;
  kvm_run* shared_ = nullptr;
  std::vector<unique_fd> doorbells_;
  std::vector<unique_fd> lines_;
};

} // namespace troupe::bench
