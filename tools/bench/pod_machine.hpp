#pragma once

#include "actors/devices/transport/mmio/session.hpp"
#include "actors/devices/worker.hpp"
#include "actors/vcpu/machine/machine.hpp"

#include <memory>
#include <string>
#include <vector>

namespace troupe::bench {

/// What a machine is made with. The paths are absolute.
struct pod_machine_order {
  std::string folder; ///< for its sockets
  std::string name;   ///< unique in the folder
  std::string disk;   ///< what make_disk made; several machines may share it
  std::string kernel;
  std::string initrd; ///< empty: none
  byte_count memory = mib(128);
};

/// Doorbells and interrupt lines of its devices and its serial port.
inline constexpr std::uint32_t pod_machine_doorbells = 9;
inline constexpr std::uint32_t pod_machine_lines = 6;

/// A machine of the built-in VMM with a device of every kind we have: vsock, fs, blk, rng, console;
/// its processor stands before its first instruction.
class pod_machine {
public:
  /// `loop` serves all devices and outlives the machine.
  [[nodiscard]] static outcome<std::unique_ptr<pod_machine>> make(const pod_machine_order& what,
                                                                  devices::worker& loop);
  pod_machine(const pod_machine&) = delete;
  pod_machine& operator=(const pod_machine&) = delete;
  ~pod_machine();

private:
  pod_machine() = default;
  outcome<void> assemble(const pod_machine_order& what, devices::worker& loop);
  outcome<void> add(std::unique_ptr<virtio::device> device, devices::worker& loop);

  std::shared_ptr<vcpu::machine> machine_;
  std::vector<std::unique_ptr<mmio::session>> sessions_;
};

/// A file of 16 MiB for disks.
[[nodiscard]] outcome<void> make_disk(const std::string& path);
/// The least program that a machine of ours loads as a kernel: one HLT, entered in 64-bit mode.
[[nodiscard]] outcome<void> make_least_kernel(const std::string& path);

} // namespace troupe::bench
