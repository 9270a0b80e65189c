#pragma once

#include "actors/devices/bus/target.hpp"
#include "actors/devices/transport/device_host.hpp"
#include "actors/devices/transport/mmio/ledger.hpp"
#include "actors/devices/transport/mmio/negotiation.hpp"
#include "actors/devices/transport/mmio/signals.hpp"
#include "messages/vocabulary/units.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace troupe::mmio {

/// What a window is made of, besides its device.
struct window_parts {
  std::unique_ptr<bus::irq_line> interrupt;
  std::vector<shared_event> doorbells;
  std::shared_ptr<const memory::guest_memory> ram;
  milliseconds patience{};
  transport::device_host::hooks tell;
};

/// The register window as vCPU threads meet it, and the device behind it. Interrupts, kicks and
/// configuration are read and written without waiting for anybody; what starts or stops the device
/// is handed to the worker, and waited for up to the patience given.
///
/// Lives in a shared_ptr: work handed over keeps it alive.
class window final : public bus::target, public std::enable_shared_from_this<window> {
public:
  window(std::unique_ptr<virtio::device> device, devices::worker& loop, window_parts parts);

  // vCPU threads.
  void read(std::uint64_t offset, std::span<std::byte> into) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> from) noexcept override;

  // The session's thread.
  [[nodiscard]] devices::worker& loop() noexcept { return loop_; }
  [[nodiscard]] const std::string& who() const noexcept { return who_; }
  [[nodiscard]] const ledger& rings() const noexcept { return ledger_; }
  /// No register reaches the device any more.
  void close() noexcept;
  /// The guest's RAM for rings that are not ready yet.
  void use(std::shared_ptr<const memory::guest_memory> ram) noexcept;

  // The worker's thread.
  [[nodiscard]] transport::device_host& host() noexcept { return host_; }
  /// The device runs no more, and nothing is left of its queues.
  void rest() noexcept;
  void remap(std::shared_ptr<const memory::guest_memory> ram);

  [[nodiscard]] std::uint64_t register_kicks() const noexcept { return register_kicks_; }
  [[nodiscard]] std::uint64_t resets() const noexcept { return resets_; }
  [[nodiscard]] std::uint64_t overdue() const noexcept { return overdue_; }
  [[nodiscard]] std::uint64_t refused() const noexcept;

private:
  [[nodiscard]] std::uint32_t read_register(reg from) noexcept;
  void write_register(reg to, std::uint32_t value);
  void write_config(std::uint32_t offset, std::span<const std::byte> from);
  void notify(std::uint32_t queue) noexcept;
  void carry_out(deed what);
  void begin();
  void reset();
  [[nodiscard]] bool hand_over(const char* stage, std::function<void(window&)> work);
  void refuse() noexcept { ++refused_; }

  devices::worker& loop_;
  const std::string who_;
  const std::uint32_t device_id_;
  const milliseconds patience_;
  signals signals_;

  mutable std::mutex mutex_; // Guards the three below. The worker never takes it.
  negotiation negotiation_;
  bool started_ = false; // Whether the worker may have the device running.
  bool closed_ = false;

  ledger ledger_; // The worker's, with the host; both but for what they say of any thread.
  transport::device_host host_;

  std::atomic<std::uint64_t> refused_ = 0;
  std::atomic<std::uint64_t> register_kicks_ = 0;
  std::atomic<std::uint64_t> resets_ = 0;
  std::atomic<std::uint64_t> overdue_ = 0;
};

} // namespace troupe::mmio
