#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::boot {

/// The MultiProcessor tables for layout::mp_table: how a kernel without ACPI finds its processors
/// and its IOAPIC. Processors from `boot_vcpus` on are there but not enabled: Linux counts them as
/// possible, so that they can be plugged in. Lines are wired one to one, edge, as KVM's default
/// routes are. Source: Intel MultiProcessor Specification 1.4.
///
/// invalid_argument: no processors, or more than layout::max_vcpus.
[[nodiscard]] outcome<std::vector<std::byte>> mp_table(std::uint32_t boot_vcpus,
                                                       std::uint32_t max_vcpus);

} // namespace troupe::boot
