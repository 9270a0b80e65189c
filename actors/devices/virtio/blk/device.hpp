#pragma once

#include "actors/devices/virtio/blk/disk.hpp"
#include "actors/devices/virtio/blk/request.hpp"
#include "actors/devices/virtio/device.hpp"

#include <memory>
#include <vector>

namespace troupe::blk {

/// Entries of each ring.
inline constexpr std::uint16_t queue_entries = 256;

/// virtio-blk (VIRTIO 1.2, 5.2) over a disk: read, write, flush, discard, write zeroes, the disk's
/// name. Writes stay in the host's cache until a flush if the driver knows flushes and has not
/// chosen write-through; else each is safe before it is answered.
///
/// A request that is wrong is answered with an error; one without room for a status is given back
/// untouched. Requests of which new logic finds a result are answered with it, not done again.
class device final : public virtio::device {
public:
  explicit device(std::shared_ptr<disk> of);
  ~device() override { reset(); }

  [[nodiscard]] virtio::device_type type() const noexcept override;
  [[nodiscard]] std::string_view name() const noexcept override { return "blk"; }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const noexcept override;
  [[nodiscard]] std::uint64_t features() const noexcept override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept override;
  /// Only the cache's mode can be written.
  [[nodiscard]] outcome<void> write_config(std::uint32_t offset,
                                           std::span<const std::byte> from) override;

  [[nodiscard]] outcome<void> activate(virtio::activation with) override;
  [[nodiscard]] outcome<virtio::progress> process(std::size_t index) override;
  /// Waits up to twice the disk's drain_limit; as does reset.
  void pause() noexcept override;
  [[nodiscard]] outcome<void> resume(std::shared_ptr<const memory::guest_memory> memory) override;
  void reset() noexcept override;

private:
  // Exists while the driver runs the device.
  struct running {
    virtio::activation given;
    rules judged_by;
    devices::worker::watch_id watch = 0;
    bool paused = false;
    bool broken = false;  // A turn ended by exception or failure.
    bool starved = false; // Requests wait in a ring for want of slots.
    bool pump_posted = false;
    std::shared_ptr<const bool> alive = std::make_shared<const bool>(true);
  };

  [[nodiscard]] virtio::queue* queue(std::size_t index) const noexcept;
  template <class Turn>
  outcome<virtio::progress> unless_broken(const Turn& turn);
  outcome<virtio::progress> serve(std::size_t index);
  outcome<virtio::progress> serve_all();
  outcome<virtio::progress> take_requests(std::size_t index, virtio::queue& from);
  outcome<void> admit(slot& fresh);
  outcome<void> proceed(slot& it);
  void begin(slot& it, bool poisoned);
  outcome<void> answer(slot& it);
  outcome<void> answer_finished();
  outcome<void> publish(slot& it);
  void notify() noexcept;
  void take_over();
  void settle() noexcept;
  void wake();
  void pump();
  io_error pass(const char* stage) const;

  std::shared_ptr<disk> disk_;
  std::vector<std::uint16_t> sizes_;
  std::unique_ptr<running> running_;
};

} // namespace troupe::blk
