#pragma once

#include "actors/sandbox/hypervisor/machine_config.hpp"

#include <string>
#include <vector>

namespace troupe::hypervisor::qemu {

/// Descriptor numbers in the child. Taps of net devices follow, in the order of the devices.
inline constexpr int qmp_fd = 3;
inline constexpr int console_fd = 4;
inline constexpr int first_tap_fd = 5;

/// What the command line needs to know of the host.
struct host_facts {
  /// Rate of the time stamp counter. Without it a loaded microvm fails to calibrate: it has neither
  /// HPET nor PM timer.
  std::uint32_t tsc_khz = 0;
};

/// The whole argv, argv[0] included. Pure; @pre check(config).
[[nodiscard]] std::vector<std::string> command_line(const machine_config& config,
                                                    const host_facts& host);

/// The kernel's command line: ours, then the user's, so that the user's words win.
[[nodiscard]] std::string kernel_command_line(const machine_config& config, const host_facts& host);

/// Descriptors of the net devices in their order, for first_tap_fd and up.
[[nodiscard]] std::vector<int> tap_fds(const machine_config& config);

/// Doubles the commas of an option's value, as QEMU wants them.
[[nodiscard]] std::string quoted(std::string_view value);

/// "virtio-blk-pci" on q35, "virtio-blk-device" on microvm.
[[nodiscard]] std::string driver_name(std::string_view kind, std::string_view machine_type);

/// "vhost-user-blk-pci" on q35, "vhost-user-blk" on microvm.
[[nodiscard]] std::string served_driver(served_device::kind what, std::string_view machine_type);

/// Id of a spare root port: "rp0".
[[nodiscard]] std::string port_id(std::uint32_t index);

/// Ids of the objects behind a device: its chardev, block node or netdev.
[[nodiscard]] std::string backend_id(std::string_view device_id);

} // namespace troupe::hypervisor::qemu
