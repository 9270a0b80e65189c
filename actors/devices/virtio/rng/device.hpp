#pragma once

#include "actors/devices/virtio/device.hpp"

#include <functional>
#include <optional>

namespace troupe::rng {

/// Bytes one request gets at most; Linux asks for up to 64. More would only cost us time.
inline constexpr std::size_t request_bytes_max = 4096;
/// Requests that one call of process() serves before the loop's other work has its turn.
inline constexpr int requests_per_turn = 16;

/// Fills all of the buffer with entropy, or fails with host_io.
using source = std::function<outcome<void>(std::span<std::byte>)>;

/// The host kernel's generator.
[[nodiscard]] outcome<void> host_entropy(std::span<std::byte> into);

/// The entropy device (VIRTIO 1.2, 5.4): one queue, each buffer of which is filled from the host's
/// generator.
class device final : public virtio::device {
public:
  explicit device(source from = host_entropy) : from_(std::move(from)) {}

  [[nodiscard]] virtio::device_type type() const noexcept override;
  [[nodiscard]] std::string_view name() const noexcept override { return "rng"; }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const noexcept override;
  [[nodiscard]] std::uint64_t features() const noexcept override { return 0; }
  void read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept override;

  [[nodiscard]] outcome<void> activate(virtio::activation with) override;
  [[nodiscard]] outcome<virtio::progress> process(std::size_t index) override;
  void pause() noexcept override { paused_ = true; }
  [[nodiscard]] outcome<void> resume(std::shared_ptr<const memory::guest_memory> memory) override;
  void reset() noexcept override { with_.reset(); }

private:
  outcome<void> serve(virtio::queue& from);
  [[nodiscard]] std::uint32_t fill();

  source from_;
  std::optional<virtio::activation> with_;
  bool paused_ = false;
  virtio::chain request_; // Reused, so that a request costs no allocation.
};

} // namespace troupe::rng
