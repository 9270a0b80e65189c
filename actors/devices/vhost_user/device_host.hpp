#pragma once

#include "actors/devices/vhost_user/ledger.hpp"
#include "actors/devices/virtio/device.hpp"
#include "actors/devices/worker.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::vhost_user {

/// Runs a device over the rings of a ledger: starts and stops it as the rings do, watches the
/// kicks, and is the boundary where the device's exceptions and the guest's lies end. A device that
/// failed is stopped; one that threw can be replaced in place, one whose guest lied comes back when
/// the driver starts its rings anew. All calls on the worker's thread.
class device_host {
public:
  struct hooks {
    std::function<void()> activated;
    std::function<void(failure)> failed;
  };

  device_host(ledger& rings, std::unique_ptr<virtio::device> device, devices::worker& loop,
              hooks notify);
  device_host(const device_host&) = delete;
  device_host& operator=(const device_host&) = delete;
  ~device_host() { deactivate(); }

  /// Makes the device run exactly if the ledger says so.
  void reconcile();
  /// Stops the device; its queues stay as they are.
  void deactivate() noexcept;

  /// Around a change of the memory table: on return nothing touches the rings.
  void pause() noexcept;
  /// Rebinds the queues to the ledger's memory and goes on.
  void resume();

  /// Puts `next` in place of the present device. Chains in flight are handed out again.
  void replace(std::unique_ptr<virtio::device> next);

  [[nodiscard]] virtio::device& device() noexcept { return *device_; }
  [[nodiscard]] std::uint64_t kicks() const noexcept { return kicks_; }

private:
  enum class condition : std::uint8_t {
    idle,    ///< The rings do not run.
    active,  ///< The device runs.
    crashed, ///< The logic failed; a replacement may go on.
    refused, ///< The guest or the front-end lied; only new rings help.
  };

  void activate();
  void watch_kicks();
  void process(std::size_t index);
  void process_all();
  void fail_device(failure why) noexcept;
  template <class Call>
  bool guarded(const char* stage, const Call& call) noexcept;

  ledger& ledger_;
  std::unique_ptr<virtio::device> device_;
  devices::worker& loop_;
  hooks notify_;
  std::string who_;
  condition condition_ = condition::idle;
  std::uint64_t generation_ = 0;
  std::vector<devices::worker::watch_id> watches_;
  std::shared_ptr<const bool> epoch_; // Posted work of an earlier activation finds it gone.
  std::uint64_t kicks_ = 0;
};

} // namespace troupe::vhost_user
