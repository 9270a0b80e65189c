#pragma once

#include <cstdint>

/// Numbers of the virtio-mmio register window, version 2 (VIRTIO 1.2, 4.2.2). All registers are 32
/// bits wide; the configuration space behind them has no such rule.
namespace troupe::mmio {

/// The window in guest memory.
inline constexpr std::uint64_t window_bytes = 0x1000;

enum class reg : std::uint32_t {
  magic = 0x000,
  version = 0x004,
  device_id = 0x008,
  vendor_id = 0x00c,
  device_features = 0x010,
  device_features_select = 0x014,
  driver_features = 0x020,
  driver_features_select = 0x024,
  queue_select = 0x030,
  queue_size_max = 0x034,
  queue_size = 0x038,
  queue_ready = 0x044,
  queue_notify = 0x050,
  interrupt_status = 0x060,
  interrupt_acknowledge = 0x064,
  status = 0x070,
  queue_descriptors_low = 0x080,
  queue_descriptors_high = 0x084,
  queue_available_low = 0x090,
  queue_available_high = 0x094,
  queue_used_low = 0x0a0,
  queue_used_high = 0x0a4,
  shared_memory_length_low = 0x0b0,
  shared_memory_length_high = 0x0b4,
  shared_memory_base_low = 0x0b8,
  shared_memory_base_high = 0x0bc,
  config_generation = 0x0fc,
  config = 0x100, ///< Where configuration space starts.
};

inline constexpr std::uint32_t magic_value = 0x74726976; ///< "virt".
inline constexpr std::uint32_t version_value = 2;
inline constexpr std::uint32_t vendor_value = 0x45505254; ///< "TRPE"; drivers do not care.
/// What the length and base of a shared memory region read as where there is none.
inline constexpr std::uint32_t no_shared_memory = 0xffff'ffff;

/// Bits of the status register, in the order in which a driver sets them.
inline constexpr std::uint32_t status_acknowledge = 0x01;
inline constexpr std::uint32_t status_driver = 0x02;
inline constexpr std::uint32_t status_features_ok = 0x08;
inline constexpr std::uint32_t status_driver_ok = 0x04;
/// Set by the device only: what it holds is lost until the driver resets it.
inline constexpr std::uint32_t status_needs_reset = 0x40;
/// Set by a driver that gave up.
inline constexpr std::uint32_t status_failed = 0x80;

inline constexpr std::uint32_t interrupt_used_buffer = 0x1;
inline constexpr std::uint32_t interrupt_config_changed = 0x2;

} // namespace troupe::mmio
