#pragma once

#include "actors/devices/virtio/device.hpp"
#include "actors/devices/virtio/vsock/endpoint.hpp"
#include "actors/devices/virtio/vsock/host_side.hpp"
#include "actors/devices/virtio/vsock/muxer.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace troupe::vsock {

/// The virtio-vsock device (VIRTIO 1.2, 5.10) with its host end on unix sockets: a client that
/// connects to the endpoint's path and says "CONNECT <port>\n" reaches that port of the guest and
/// is told "OK <host port>\n"; a guest that connects to CID 2 port P reaches "<path>_P". Streams
/// only.
///
/// New logic over a running guest resets the connections of the old one, nothing else.
class device final : public virtio::device {
public:
  /// `guest_cid` is at least 3.
  device(std::uint64_t guest_cid, std::shared_ptr<endpoint> where)
      : guest_cid_(guest_cid), where_(std::move(where)) {}
  ~device() override { reset(); }

  [[nodiscard]] virtio::device_type type() const noexcept override;
  [[nodiscard]] std::string_view name() const noexcept override { return "vsock"; }
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
    running(device& owner, virtio::activation with);

    virtio::activation given;
    host_side host;
    muxer mux;
    bool paused = false;
    bool pump_posted = false;
    devices::worker::timer_id timer = 0;
    virtio::chain chain; // Reused, so that a packet costs no allocation.
    std::shared_ptr<const bool> alive = std::make_shared<const bool>(true);
  };

  outcome<virtio::progress> serve();
  outcome<virtio::progress> drain_transmit();
  outcome<void> one_transmit(virtio::queue& from);
  outcome<virtio::progress> fill_receive();
  outcome<bool> one_receive(virtio::queue& to);
  void wake();
  void pump();
  void schedule_expiry();

  std::uint64_t guest_cid_;
  std::shared_ptr<endpoint> where_;
  std::unique_ptr<running> running_;
};

} // namespace troupe::vsock
