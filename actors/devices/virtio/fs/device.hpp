#pragma once

#include "actors/devices/blocking_worker.hpp"
#include "actors/devices/virtio/device.hpp"
#include "actors/sharefs/fuse/session.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

namespace troupe::virtio {

struct fs_options {
  /// What the guest mounts by (`mount -t virtiofs TAG`): 1 ... 36 bytes.
  std::string tag = "kataShared";
  /// Threads for what may take long (fsync, large transfers). While fewer are stuck, others go on.
  std::uint16_t threads = 2;
  /// The loop serves this device and nothing else: it answers quick requests itself, which saves a
  /// switch of threads for each. Otherwise it only hands requests on.
  bool own_loop = false;
};

/// Threads of one device are bounded whatever the configuration says: each is a stack of the
/// host's.
inline constexpr std::uint16_t fs_threads_max = 64;
/// Entries of each ring. Linux takes requests of up to (entries - 4) pages.
inline constexpr std::uint16_t fs_queue_size = 1024;

/// virtio-fs (VIRTIO 1.2, 5.11) without DAX: a high-priority queue and one request queue, whose
/// FUSE requests are served over a session. The session is the machine's: a new device put in this
/// one's place goes on with the same nodes and open files.
class fs_device final : public device {
public:
  /// invalid_argument when the tag or the number of threads is out of range.
  [[nodiscard]] static outcome<std::unique_ptr<fs_device>>
  make(std::shared_ptr<fuse::session> shares, fs_options options);
  ~fs_device() override;

  [[nodiscard]] device_type type() const noexcept override { return device_type::fs; }
  [[nodiscard]] std::string_view name() const noexcept override { return "fs"; }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const noexcept override;
  [[nodiscard]] std::uint64_t features() const noexcept override { return 0; }
  void read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept override;
  [[nodiscard]] outcome<void> activate(activation with) override;
  [[nodiscard]] outcome<progress> process(std::size_t index) override;
  void pause() noexcept override;
  [[nodiscard]] outcome<void> resume(std::shared_ptr<const memory::guest_memory> memory) override;
  void reset() noexcept override;

private:
  fs_device(std::shared_ptr<fuse::session> shares, fs_options options)
      : shares_(std::move(shares)), options_(std::move(options)) {}

  [[nodiscard]] outcome<bool> take(queue& from, chain& request);
  [[nodiscard]] bool serves_here(const chain& request) const;
  [[nodiscard]] outcome<void> hand_on(queue& to, chain request);
  [[nodiscard]] outcome<void> serve(queue& from, const chain& request);
  void stop_threads() noexcept;

  std::shared_ptr<fuse::session> shares_;
  fs_options options_;
  activation with_;
  std::mutex rings_; // one thread at a time on the queues: the loop pops, any thread completes
  std::unique_ptr<devices::blocking_worker> threads_;
};

} // namespace troupe::virtio
