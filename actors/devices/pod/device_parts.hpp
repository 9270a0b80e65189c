#pragma once

#include "actors/devices/virtio/blk/engine.hpp"
#include "actors/devices/virtio/device.hpp"
#include "actors/sharefs/fuse/session.hpp"
#include "actors/supervision/fault_plan.hpp"
#include "actors/vcpu/machine_plan.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

/// What is behind each device of a pod's machine.
namespace troupe {

/// One device as its control actor needs to know it.
struct device_parts {
  /// "vsock", "fs", "rng", "disk0".
  std::string name;
  /// Files the device makes beneath the pod's folder, besides the socket that a hypervisor connects
  /// to; journalled like it.
  std::vector<std::string> files;
  /// The logic, over state that outlives it. Called again after a crash, on a thread that may
  /// block.
  std::function<outcome<std::unique_ptr<virtio::device>>()> make;
  /// Lets go of that state. May be empty.
  std::function<void()> release;
};

/// The guest's way to us. Its listening end outlives the logic, and goes with the device.
[[nodiscard]] device_parts vsock_parts(const machine_place& place);

/// The share root. `threads` is asked for when the device is made.
[[nodiscard]] device_parts fs_parts(const machine_place& place,
                                    std::shared_ptr<fuse::session> session,
                                    std::function<std::uint16_t()> threads);

/// Entropy of the host kernel.
[[nodiscard]] device_parts rng_parts();

/// Who carries out the reads and writes of disks, by block_device_aio.
[[nodiscard]] blk::engine_kind disk_engine(const config::hypervisor_config& table) noexcept;

/// Disk `index` of the place. The file, locked, and the requests in flight outlive the logic.
/// `engine` is asked for when the device is made.
[[nodiscard]] device_parts disk_parts(const machine_place& place, std::size_t index,
                                      std::shared_ptr<fault_plan> faults,
                                      std::function<blk::engine_kind()> engine);

} // namespace troupe
