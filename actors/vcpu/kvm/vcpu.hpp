#pragma once

#include "actors/vcpu/kvm/run_page_raw.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <linux/kvm.h>

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::kvm {

/// Most MSRs in one call, as the kernel has it.
inline constexpr std::size_t max_msrs = 256;

/// How a KVM_RUN came back.
enum class run_result : std::uint8_t {
  exited,      ///< last_exit() says why.
  interrupted, ///< A signal, or immediate_exit. Whatever the exit before had begun is finished.
  again,       ///< Nothing happened (a waiting processor was woken): run again.
};

/// One virtual processor of a vm, which owns it: the kernel never forgets a processor's number, so
/// its descriptor stays open as long as the machine. Handles are shared pointers from
/// vm::create_vcpu(), each of which keeps the whole machine.
///
/// Thread rule: run() and last_exit() on one thread, set_immediate_exit() on any. All else waits in
/// the kernel while run() is under way, so: on that thread, or while it is known to be elsewhere.
/// Failures are host_io and name the call.
class vcpu {
public:
  vcpu(std::uint32_t id, unique_fd fd, run_page page, std::size_t xsave_size)
      : id_(id), fd_(std::move(fd)), page_(std::move(page)), xsave_size_(xsave_size) {}
  vcpu(const vcpu&) = delete;
  vcpu& operator=(const vcpu&) = delete;

  [[nodiscard]] std::uint32_t id() const noexcept { return id_; }

  /// Lets the guest run until something needs us.
  [[nodiscard]] outcome<run_result> run();
  [[nodiscard]] outcome<exit_event> last_exit() const { return page_.last_exit(); }
  void set_immediate_exit(bool on) noexcept { page_.set_immediate_exit(on); }

  [[nodiscard]] outcome<kvm_regs> regs() const;
  [[nodiscard]] outcome<void> set_regs(const kvm_regs& value);
  [[nodiscard]] outcome<kvm_sregs> sregs() const;
  [[nodiscard]] outcome<void> set_sregs(const kvm_sregs& value);
  [[nodiscard]] outcome<kvm_fpu> fpu() const;
  [[nodiscard]] outcome<void> set_fpu(const kvm_fpu& value);
  [[nodiscard]] outcome<kvm_lapic_state> lapic() const;
  [[nodiscard]] outcome<void> set_lapic(const kvm_lapic_state& value);
  [[nodiscard]] outcome<kvm_mp_state> mp_state() const;
  [[nodiscard]] outcome<void> set_mp_state(const kvm_mp_state& value);
  [[nodiscard]] outcome<kvm_vcpu_events> events() const;
  [[nodiscard]] outcome<void> set_events(const kvm_vcpu_events& value);
  [[nodiscard]] outcome<kvm_debugregs> debugregs() const;
  [[nodiscard]] outcome<void> set_debugregs(const kvm_debugregs& value);
  [[nodiscard]] outcome<kvm_xcrs> xcrs() const;
  [[nodiscard]] outcome<void> set_xcrs(const kvm_xcrs& value);

  /// As many bytes as this kernel's XSAVE area has; at least 4096.
  [[nodiscard]] outcome<std::vector<std::byte>> xsave() const;
  /// invalid_argument: another number of bytes.
  [[nodiscard]] outcome<void> set_xsave(std::span<const std::byte> area);

  /// What the guest's CPUID answers; before MSRs, which depend on it.
  [[nodiscard]] outcome<void> set_cpuid(std::span<const kvm_cpuid_entry2> entries);
  [[nodiscard]] outcome<std::vector<kvm_cpuid_entry2>> cpuid() const;

  /// All or a failure that names the MSR the kernel stopped at. invalid_argument: over max_msrs.
  [[nodiscard]] outcome<std::vector<kvm_msr_entry>>
  msrs(std::span<const std::uint32_t> indices) const;
  [[nodiscard]] outcome<void> set_msrs(std::span<const kvm_msr_entry> entries);

  /// Tells a guest with kvmclock that it was stopped, so that its watchdogs forgive it. Nothing
  /// happens in a guest without.
  [[nodiscard]] outcome<void> kvmclock_ctrl();

  /// Where the guest's own page tables lead `linear` now. guest_fault: nowhere.
  [[nodiscard]] outcome<std::uint64_t> translate(std::uint64_t linear) const;

private:
  std::uint32_t id_;
  unique_fd fd_;
  run_page page_;
  std::size_t xsave_size_;
};

} // namespace troupe::kvm
