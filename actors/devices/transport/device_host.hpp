#pragma once

#include "actors/devices/transport/ring_set.hpp"
#include "actors/devices/virtio/device.hpp"
#include "actors/devices/worker.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe::transport {

/// How often in a row logic may fail to start before the driver is told that it is gone; keeps an
/// owner from replacing it for ever.
inline constexpr int start_attempts = 2;

/// Runs a device over the rings of a transport: starts and stops it as the rings do, watches the
/// kicks, and is the boundary where the device's exceptions and the guest's lies end. A device that
/// failed is stopped; one that threw can be replaced in place, one whose guest lied or that could
/// not be started comes back when the driver starts its rings anew.
///
/// Thread rule: the worker's, but for config reads and the generation.
class device_host {
public:
  struct hooks {
    std::function<void()> activated;
    std::function<void(failure)> failed;
  };

  /// `who` names the transport in logs: "vhost-user". `rings` and `loop` outlive the host.
  device_host(std::string_view who, ring_set& rings, std::unique_ptr<virtio::device> device,
              devices::worker& loop, hooks notify);
  device_host(const device_host&) = delete;
  device_host& operator=(const device_host&) = delete;
  ~device_host() { deactivate(); }

  /// Makes the device run exactly if the rings say so.
  void reconcile();
  /// Stops the device; its queues stay as they are.
  void deactivate() noexcept;

  /// On return nothing touches the rings, and nothing will until resume.
  void pause() noexcept;
  /// Rebinds the queues to the ring set's memory and goes on.
  void resume();
  [[nodiscard]] bool paused() const noexcept { return paused_; }

  /// Puts `next` in place of the present device. Chains in flight are handed out again.
  void replace(std::unique_ptr<virtio::device> next);

  /// Reads configuration space, whole between two changes of it. Any thread.
  void read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept;
  /// Differs after every change of configuration space. Any thread.
  [[nodiscard]] std::uint32_t config_generation() const noexcept;
  /// guest_fault where it is read-only.
  outcome<void> write_config(std::uint32_t offset, std::span<const std::byte> from) noexcept;

  [[nodiscard]] virtio::device& device() noexcept { return *device_; }
  /// Any thread.
  [[nodiscard]] std::uint64_t kicks() const noexcept { return kicks_; }
  /// Features and queues as they are now.
  [[nodiscard]] virtio::device_state state();

private:
  enum class condition : std::uint8_t {
    idle,    ///< The rings do not run.
    active,  ///< The device runs.
    crashed, ///< The logic failed; a replacement may go on.
    refused, ///< The guest or the front-end lied, or no logic starts; only new rings help.
  };

  void activate();
  [[nodiscard]] virtio::activation lend();
  void watch_kicks();
  void kicked(int fd);
  void process(std::size_t index);
  void process_all();
  void change_config(const std::function<void()>& change);
  [[nodiscard]] failure named(const char* stage, const failure& why) const;
  void stop_because(failure why, condition then) noexcept;
  void fail_device(failure why) noexcept;

  ring_set& rings_;
  devices::worker& loop_;
  hooks notify_;
  std::string who_;

  mutable std::mutex config_; // Guards the two below against readers on other threads.
  std::unique_ptr<virtio::device> device_;
  std::uint32_t config_generation_ = 0;

  condition condition_ = condition::idle;
  int starts_left_ = start_attempts;
  bool paused_ = false;
  std::uint64_t generation_ = 0;
  std::vector<devices::worker::watch_id> watches_;
  std::shared_ptr<const bool> epoch_; // Posted work of an earlier activation finds it gone.
  std::atomic<std::uint64_t> kicks_ = 0;
};

} // namespace troupe::transport
