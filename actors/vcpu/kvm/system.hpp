#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::kvm {

/// Most CPUID leaves and MSR indices we take from the kernel; it has about 100 and 200.
inline constexpr std::size_t max_cpuid_entries = 1024;
inline constexpr std::size_t max_msr_indices = 4096;

/// /dev/kvm, checked to be one that our machines can run on. Any thread; only needed while
/// machines are made.
class system {
public:
  /// not_found: there is no such device; unimplemented: another API version, or capabilities are
  /// missing (all of them named); host_io otherwise.
  [[nodiscard]] static outcome<system> open(const std::string& path = "/dev/kvm");

  /// The leaves this KVM can give to a guest.
  [[nodiscard]] outcome<std::vector<kvm_cpuid_entry2>> supported_cpuid() const;
  /// Indices of the MSRs that a saved machine consists of.
  [[nodiscard]] outcome<std::vector<std::uint32_t>> msr_indices() const;
  /// Bytes of a vCPU's shared page and what follows it.
  [[nodiscard]] std::size_t run_size() const noexcept { return run_size_; }
  /// KVM_CHECK_EXTENSION; 0 when the kernel does not know the number.
  [[nodiscard]] int check_extension(int capability) const noexcept;
  /// A new, empty virtual machine.
  [[nodiscard]] outcome<unique_fd> create_vm() const;

private:
  system(unique_fd fd, std::size_t run_size) : fd_(std::move(fd)), run_size_(run_size) {}

  unique_fd fd_;
  std::size_t run_size_ = 0;
};

} // namespace troupe::kvm
