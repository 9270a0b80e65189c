#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace troupe::hypervisor {

enum class accelerator : std::uint8_t { kvm, tcg };

/// A vhost-user socket of ours for the guest's vsock. It must be listening before start().
struct vsock_device {
  std::string id = "vsock0";
  std::string socket_path;
  /// Where the same device takes CONNECT requests from the host: the agent's way in.
  std::string hybrid_path;
};

/// A vhost-user socket of ours for a virtio-fs share. It must be listening before start().
struct fs_device {
  std::string id = "fs0";
  std::string socket_path;
  /// The guest mounts this name. 1 ... 36 bytes (virtio 1.2 §5.11.4).
  std::string tag;
  /// Slots per queue, a power of two, at most 1024.
  std::uint16_t queue_size = 1024;
};

/// A vhost-user socket of ours for a device that needs no more words: a disk, an entropy source. It
/// must be listening before start().
struct served_device {
  enum class kind : std::uint8_t { blk, rng };
  kind what = kind::rng;
  std::string id;
  std::string socket_path;
};

/// A raw image or a block device of the host, as virtio-blk of the hypervisor's own.
struct block_device {
  std::string id;
  std::string path;
  bool read_only = false;
  /// What the guest reads as serial, at most 20 bytes; empty: none.
  std::string serial;
};

/// A tap of the host, as virtio-net. The descriptor is borrowed until the call returns.
struct net_device {
  std::string id;
  int tap_fd = -1;
  /// "02:00:00:00:00:01".
  std::string mac;
};

using device = std::variant<vsock_device, fs_device, served_device, block_device, net_device>;

/// The name a device goes by in add, remove and update: [A-Za-z][A-Za-z0-9_-]{0,30}.
[[nodiscard]] const std::string& id_of(const device& which) noexcept;

/// More would not fit the q35's root bus, and no pod of ours needs as many.
inline constexpr std::size_t max_devices = 16;
inline constexpr std::uint32_t max_spare_ports = 8;
/// CONFIG_NR_CPUS of our guest kernel.
inline constexpr std::uint32_t max_vcpus_per_machine = 64;
/// Less does not hold kernel and initrd.
inline constexpr byte_count min_memory = mib(64);
/// More than this on one host is a typing error.
inline constexpr byte_count max_memory = gib(4096);
/// What `hugepages` takes from the host's pool.
inline constexpr byte_count huge_page_size = mib(2);
/// COMMAND_LINE_SIZE of x86 Linux; the kernel would cut the rest off silently.
inline constexpr std::size_t max_kernel_params = 2047;

/// Everything a hypervisor must know about one machine. Values only; paths are absolute.
struct machine_config {
  /// The sandbox's id; part of the process's name.
  std::string id;
  /// A random word that goes into the argv of every process, so that undo knows them: see
  /// journal::process_effect.
  std::string token;
  /// Folder of ours, mode 0700, for sockets and saved state. Exists.
  std::string run_directory;

  /// Configuration key `path`: the hypervisor's program. QEMU's alone.
  std::string binary = "/usr/bin/qemu-system-x86_64";
  /// Configuration key `kernel`: an ELF vmlinux with a PVH note; the built-in VMM also takes a
  /// bzImage.
  std::string kernel;
  /// Configuration key `initrd`. Empty only where the payload is bare.
  std::string initrd;
  /// The kernel is all that runs: nothing of ours is in the guest. The built-in VMM's alone; such a
  /// payload may end with an exit code.
  bool bare = false;
  /// Configuration key `kernel_params`: added after our own parameters, so that it wins.
  std::string kernel_params;
  /// Configuration key `machine_type`: "q35" or "microvm". QEMU's alone.
  std::string machine_type = "q35";
  /// Configuration key `cpu_model`; empty: the best that the accelerator offers. QEMU's alone.
  std::string cpu_model;
  /// Configuration key `cpu_features`: added to the model. QEMU's alone.
  std::string cpu_features;
  /// Configuration key `enable_debug`: the guest's kernel says on its console what it does.
  bool verbose = false;

  accelerator accel = accelerator::tcg;
  /// KVM emulates the guest's kernel: the kernel is made for that, and kernel_params tells it so.
  /// The built-in VMM's alone.
  bool emulated_kvm = false;
  std::uint32_t vcpus = 1;
  /// Upper bound for resize(); 0: as vcpus.
  std::uint32_t max_vcpus = 0;
  /// A multiple of 1 MiB.
  byte_count memory = mib(256);
  /// Memory from the host's pool of huge pages; `memory` is then whole ones. The built-in VMM's
  /// alone, like the next one.
  bool hugepages = false;
  /// All memory is taken from the host before the guest runs.
  bool prealloc = false;
  /// Lets resize() take memory back from the guest.
  bool balloon = false;
  /// Free sockets for add_device on q35; each costs the guest some milliseconds of boot.
  std::uint32_t spare_ports = 0;
  /// Log the guest's serial console.
  bool console = true;

  std::vector<device> devices;
};

/// Whether the values make sense together, without a look at the host.
/// invalid_argument or unimplemented that name the configuration key or the device.
[[nodiscard]] outcome<void> check(const machine_config& config);
/// The same for one device.
[[nodiscard]] outcome<void> check(const device& which);

} // namespace troupe::hypervisor
