#pragma once

#include "actors/devices/virtio/console/port.hpp"
#include "actors/devices/virtio/device.hpp"

#include <array>
#include <memory>

namespace troupe::console {

/// Bytes of one chain that are printed; the rest of a longer one is dropped and counted as an
/// error. Linux sends a page at a time.
inline constexpr std::size_t chain_bytes_max = 64U << 10;
/// Chains per turn and direction.
inline constexpr int chains_per_turn = 16;

/// virtio-console (VIRTIO 1.2, 5.3) with one port and no control queues: the guest's hvc0.
class device final : public virtio::device {
public:
  explicit device(std::shared_ptr<port> to) : port_(std::move(to)) {}
  ~device() override { reset(); }

  [[nodiscard]] virtio::device_type type() const noexcept override;
  [[nodiscard]] std::string_view name() const noexcept override { return "console"; }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const noexcept override;
  [[nodiscard]] std::uint64_t features() const noexcept override { return 0; }
  void read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept override;

  [[nodiscard]] outcome<void> activate(virtio::activation with) override;
  [[nodiscard]] outcome<virtio::progress> process(std::size_t index) override;
  void pause() noexcept override;
  [[nodiscard]] outcome<void> resume(std::shared_ptr<const memory::guest_memory> memory) override;
  void reset() noexcept override;

private:
  // Exists while the driver runs the device.
  struct running {
    virtio::activation given;
    bool paused = false;
    virtio::chain chain; // Reused, so that a line costs no allocation.
    std::array<char, 4096> bytes;
    std::shared_ptr<const bool> alive = std::make_shared<const bool>(true);
  };

  outcome<virtio::progress> receive(virtio::queue& to);
  outcome<bool> one_receive(virtio::queue& to);
  outcome<virtio::progress> transmit(virtio::queue& from);
  outcome<void> one_transmit(virtio::queue& from);
  void listen();
  void pump();

  std::shared_ptr<port> port_;
  std::unique_ptr<running> running_;
};

} // namespace troupe::console
