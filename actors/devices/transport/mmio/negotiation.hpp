#pragma once

#include "actors/devices/transport/mmio/registers.hpp"
#include "actors/devices/transport/mmio/signals.hpp"
#include "actors/devices/virtio/queue.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace troupe::mmio {

/// What a write to the registers asks the transport to do.
enum class deed : std::uint8_t {
  none,
  start, ///< The driver is ready: the device runs from now on.
  stop,  ///< The driver gave up; the device runs no more.
  reset, ///< Stop, then reset() this.
};

/// What the driver said by registers before the device runs: status, features, queues. Rules only,
/// and strict ones: a write that is not legal in its state changes nothing and is counted; a ring
/// that cannot be is a lie, after which only a reset helps. One thread at a time.
class negotiation {
public:
  /// `offered`: all feature bits. `sizes`: the largest ring of each queue. `tell` outlives this and
  /// the queues.
  negotiation(std::uint64_t offered, std::span<const std::uint16_t> sizes,
              std::shared_ptr<const memory::guest_memory> ram, signals& tell);

  /// Registers that are not ours, read as zero.
  [[nodiscard]] std::uint32_t read(reg from) const noexcept;
  [[nodiscard]] deed write(reg to, std::uint32_t value);
  /// As new; the device is at rest.
  void reset() noexcept;

  /// The guest's RAM for rings to come.
  void use(std::shared_ptr<const memory::guest_memory> ram) noexcept { ram_ = std::move(ram); }

  [[nodiscard]] std::uint32_t status() const noexcept;
  /// Acknowledged bits.
  [[nodiscard]] std::uint64_t features() const noexcept { return acknowledged_; }
  /// The queues that the driver made ready, null for others. Once, at deed::start.
  [[nodiscard]] std::vector<std::unique_ptr<virtio::queue>> take_queues();
  /// Writes that were not legal.
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

private:
  struct ring {
    std::uint32_t size = 0;
    gpa descriptors = 0;
    gpa available = 0;
    gpa used = 0;
    bool ready = false;
    std::unique_ptr<virtio::queue> queue; // Latched: later writes do not reach it.
  };

  [[nodiscard]] deed write_status(std::uint32_t value);
  [[nodiscard]] bool features_fit() const noexcept;
  void write_features(std::uint32_t value);
  void write_ring(reg to, std::uint32_t value);
  void write_ready(ring& it, std::uint32_t value);
  [[nodiscard]] outcome<void> latch(ring& it) const;
  void refuse() noexcept { ++refused_; }

  std::uint64_t offered_;
  std::vector<std::uint16_t> sizes_;
  std::shared_ptr<const memory::guest_memory> ram_;
  signals& tell_;

  std::uint32_t status_ = 0;
  std::uint32_t device_page_ = 0;
  std::uint32_t driver_page_ = 0;
  std::uint64_t acknowledged_ = 0;
  bool beyond_offer_ = false; // Bits acknowledged on pages that do not exist.
  std::uint32_t selected_ = 0;
  std::vector<ring> rings_;
  std::uint64_t refused_ = 0;
};

} // namespace troupe::mmio
