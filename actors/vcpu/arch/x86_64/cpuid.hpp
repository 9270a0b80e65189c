#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <linux/kvm.h>

#include <cstdint>
#include <vector>

/// What a guest's CPUID instruction says. Sources: Intel SDM volume 2 (CPUID), AMD APM volume 3
/// appendix E.
namespace troupe::x86_64 {

/// KVM takes no more entries than these.
inline constexpr std::size_t max_cpuid_entries = 256;

/// Which processor of how many. One package; its APIC ids are 0, 1, 2 ...
struct cpu_identity {
  std::uint32_t apic_id = 0;
  /// All that can ever be plugged in, 1 ... layout::max_vcpus.
  std::uint32_t cpus = 1;
  /// 1 or 2; divides `cpus`.
  std::uint32_t threads_per_core = 1;
  /// Whether KVM's local APIC counts to a TSC value (KVM_CAP_TSC_DEADLINE_TIMER); KVM leaves this
  /// bit out of what it supports.
  bool tsc_deadline = true;
};

/// For KVM_SET_CPUID2: `supported` (KVM_GET_SUPPORTED_CPUID) with the topology of the guest instead
/// of the host's, the mark of a hypervisor, and no performance counters or thermal sensors. The
/// host's brand, and KVM's own leaves, stay.
///
/// invalid_argument: an identity out of range, no basic leaves, more than max_cpuid_entries.
/// unimplemented: a vendor other than Intel, AMD and Hygon; the text names it.
[[nodiscard]] outcome<std::vector<kvm_cpuid_entry2>>
guest_cpuid(std::vector<kvm_cpuid_entry2> supported, const cpu_identity& who);

} // namespace troupe::x86_64
