#pragma once

#include "actors/devices/transport/ring_set.hpp"
#include "actors/devices/vhost_user/codec.hpp"
#include "actors/devices/virtio/queue.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace troupe::vhost_user {

/// The interrupt of a ring: an eventfd of the front-end, which exchanges it at will.
class call_line final : public virtio::interrupt {
public:
  void connect(unique_fd fd) noexcept { fd_ = std::move(fd); }
  void raise() noexcept override;

private:
  unique_fd fd_;
};

/// One ring as the front-end describes it, and the queue over it while it runs.
struct ring {
  std::uint32_t size = 0;
  std::uint16_t base = 0;
  std::optional<wire::vring_address> address;
  /// Given: the ring is started.
  unique_fd kick;
  call_line call;
  call_line error;
  bool enabled = false;
  std::unique_ptr<virtio::queue> queue;

  [[nodiscard]] bool started() const noexcept { return static_cast<bool>(kick); }
};

/// What a vhost-user session knows, apart from its device: memory, rings, features. It outlives the
/// device logic, so a new one can go on where the old one stopped. Rules only; what the front-end
/// gets wrong fails with peer_fault and changes nothing. One thread at a time.
class ledger final : public transport::ring_set {
public:
  /// `sizes`: the largest ring of each queue. `offered`: all feature bits we tell of.
  ledger(std::span<const std::uint16_t> sizes, std::uint64_t offered);

  outcome<void> set_features(std::uint64_t acknowledged);
  /// Maps the table. Running queues must be rebound by the caller before they are used again.
  outcome<void> set_memory(std::span<const wire::memory_region> regions,
                           std::vector<unique_fd> fds);
  outcome<void> set_size(wire::vring_state to);
  outcome<void> set_base(wire::vring_state to);
  outcome<void> set_address(const wire::vring_address& to);
  outcome<void> set_kick(vring_fd to);
  outcome<void> set_call(vring_fd to);
  outcome<void> set_error(vring_fd to);
  outcome<void> set_enabled(wire::vring_state to);

  /// Takes the ring's kick away: it is stopped. The caller stops the device before it asks base_of.
  outcome<void> stop(std::size_t index);
  /// Stops, disables and forgets all rings' progress. The device is stopped before.
  void stop_all() noexcept;
  /// Where a stopped ring would go on. Ends its queue.
  [[nodiscard]] std::uint16_t base_of(std::size_t index);

  /// Whether a device should run: there are started rings, and all of them are enabled.
  [[nodiscard]] bool runnable() const noexcept override;
  [[nodiscard]] std::uint64_t generation() const noexcept override { return generation_; }
  outcome<void> attach_queues() override;
  [[nodiscard]] std::uint64_t features() const noexcept override { return features_; }
  [[nodiscard]] const std::shared_ptr<const memory::guest_memory>&
  memory() const noexcept override {
    return memory_;
  }
  [[nodiscard]] std::size_t count() const noexcept override { return rings_.size(); }
  [[nodiscard]] virtio::queue* queue_of(std::size_t index) noexcept override;
  [[nodiscard]] int kick_of(std::size_t index) const noexcept override;
  /// Tells by the error descriptors.
  void stopped(bool for_good) noexcept override;
  /// We offer no channel for it: the front-end asks again when it likes.
  void config_changed() noexcept override {}

private:
  [[nodiscard]] outcome<ring*> at(std::size_t index);
  [[nodiscard]] outcome<gpa> translate(std::uint64_t user) const;
  [[nodiscard]] outcome<virtio::queue_state> describe(const ring& it) const;

  std::vector<std::uint16_t> sizes_;
  std::uint64_t offered_;
  std::uint64_t features_ = 0;
  std::vector<wire::memory_region> regions_;
  std::shared_ptr<const memory::guest_memory> memory_;
  std::vector<ring> rings_;
  std::uint64_t generation_ = 0;
};

} // namespace troupe::vhost_user
