#pragma once

#include "actors/vcpu/memory/address_range.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <vector>

/// Where things are in the guest-physical memory of an aarch64 machine. No machine is built from it
/// yet; it compiles everywhere, so that what is common stays common.
namespace troupe::aarch64::layout {

/// Interrupt controller and device registers lie below RAM.
inline constexpr gpa gic_end = gib(1);
inline constexpr gpa virtio_mmio = gib(1);
inline constexpr byte_count virtio_mmio_stride = 0x1000;
inline constexpr std::uint32_t virtio_mmio_slots = 256;
inline constexpr gpa ram_start = gib(2);
/// The device tree is at the end of RAM; Linux maps 2 MiB of it and no more.
inline constexpr byte_count device_tree_size = mib(2);

/// Shared peripheral interrupts: the first number of the controller's that is no processor's own.
inline constexpr std::uint32_t virtio_gsi_first = 32;
inline constexpr std::uint32_t virtio_gsi_last = 159;

/// A GICv2 would end at 8; GICv3 takes more, and this keeps both architectures alike.
inline constexpr std::uint32_t max_vcpus = 254;

/// The window of device `slot`, counted from 0. @pre slot < virtio_mmio_slots.
[[nodiscard]] constexpr memory::device_window virtio_slot(std::uint32_t slot) noexcept {
  constexpr auto lines = virtio_gsi_last - virtio_gsi_first + 1;
  return {{virtio_mmio + slot * virtio_mmio_stride, virtio_mmio_stride},
          virtio_gsi_first + slot % lines};
}

/// RAM is one range.
[[nodiscard]] std::vector<memory::address_range> ram(byte_count size);

/// Where the device tree goes, in a machine with `size` bytes of RAM. @pre size >=
/// device_tree_size.
[[nodiscard]] gpa device_tree(byte_count size) noexcept;

} // namespace troupe::aarch64::layout
