#pragma once

#include "actors/devices/transport/mmio/machine_port.hpp"
#include "actors/devices/transport/mmio/signals.hpp"
#include "actors/devices/transport/ring_set.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace troupe::mmio {

/// What of a device outlives its logic while a driver runs it: features, memory, queues with their
/// indices and chains in flight, doorbells. The worker's, but for
/// the doorbells, which never change.
class ledger final : public transport::ring_set {
public:
  /// One doorbell per ring, or one for all of them.
  ledger(std::size_t rings, std::vector<shared_event> doorbells,
         std::shared_ptr<const memory::guest_memory> ram, signals& tell)
      : rings_(rings), doorbells_(std::move(doorbells)), ram_(std::move(ram)), tell_(tell),
        queues_(rings) {}

  /// The driver is ready.
  void start(std::uint64_t features, std::vector<std::unique_ptr<virtio::queue>> queues);
  /// Forgets what start told. The device is at rest.
  void stop() noexcept;
  /// The guest's RAM changed; running queues are rebound by the device host.
  void use(std::shared_ptr<const memory::guest_memory> ram) noexcept { ram_ = std::move(ram); }

  /// What signals ring `index`. Any thread.
  [[nodiscard]] const shared_event& doorbell_of(std::size_t index) const noexcept {
    return doorbells_[index % doorbells_.size()];
  }

  [[nodiscard]] bool runnable() const noexcept override { return started_; }
  [[nodiscard]] std::uint64_t generation() const noexcept override { return generation_; }
  [[nodiscard]] std::uint64_t features() const noexcept override { return features_; }
  [[nodiscard]] const std::shared_ptr<const memory::guest_memory>&
  memory() const noexcept override {
    return ram_;
  }
  /// Any thread.
  [[nodiscard]] std::size_t count() const noexcept override { return rings_; }
  outcome<void> attach_queues() override;
  [[nodiscard]] virtio::queue* queue_of(std::size_t index) noexcept override {
    return queues_[index].get();
  }
  [[nodiscard]] int kick_of(std::size_t index) const noexcept override;
  void stopped(bool for_good) noexcept override;
  void config_changed() noexcept override { tell_.config_changed(); }

private:
  const std::size_t rings_;
  const std::vector<shared_event> doorbells_;
  std::shared_ptr<const memory::guest_memory> ram_;
  signals& tell_;
  bool started_ = false;
  std::uint64_t generation_ = 0;
  std::uint64_t features_ = 0;
  std::vector<std::unique_ptr<virtio::queue>> queues_; // Null where the driver set none up.
};

} // namespace troupe::mmio
