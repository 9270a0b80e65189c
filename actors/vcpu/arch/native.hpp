#pragma once

#include "actors/vcpu/arch/aarch64/entry.hpp"
#include "actors/vcpu/arch/aarch64/layout.hpp"
#include "actors/vcpu/memory/address_range.hpp"

#include <concepts>
#include <cstdint>
#include <vector>

#if defined(__x86_64__)
#include "actors/vcpu/arch/x86_64/entry.hpp"
#include "actors/vcpu/arch/x86_64/layout.hpp"
#endif

/// The architecture that this program runs its guests on. Code outside arch/ that must differ by
/// architecture says `arch::native`, and never asks the compiler.
namespace troupe::arch {

/// What every architecture answers.
template <class T>
concept architecture = requires(byte_count ram, std::uint32_t slot, const typename T::entry& how) {
  { T::ram(ram) } -> std::same_as<std::vector<memory::address_range>>;
  { T::virtio_slot(slot) } -> std::same_as<memory::device_window>;
  { T::max_vcpus } -> std::convertible_to<std::uint32_t>;
  T::registers(how);
};

struct aarch64_machine {
  using entry = aarch64::entry;
  static constexpr auto max_vcpus = aarch64::layout::max_vcpus;
  static auto ram(byte_count size) { return aarch64::layout::ram(size); }
  static auto virtio_slot(std::uint32_t slot) { return aarch64::layout::virtio_slot(slot); }
  static auto registers(const entry& how) { return aarch64::registers(how); }
};
static_assert(architecture<aarch64_machine>);

#if defined(__x86_64__)
struct x86_64_machine {
  using entry = x86_64::entry;
  static constexpr auto max_vcpus = x86_64::layout::max_vcpus;
  static auto ram(byte_count size) { return x86_64::layout::ram(size); }
  static auto virtio_slot(std::uint32_t slot) { return x86_64::layout::virtio_slot(slot); }
  static auto registers(const entry& how) { return x86_64::registers(how); }
};
static_assert(architecture<x86_64_machine>);
using native = x86_64_machine;
#else
using native = aarch64_machine;
#endif

} // namespace troupe::arch
