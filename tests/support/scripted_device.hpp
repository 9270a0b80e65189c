#pragma once

#include "actors/devices/virtio/device.hpp"

#include <cstring>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// A device for tests of transports: answers each chain with "ok", and misbehaves as told.
namespace troupe::testing {

/// What the device does, and what was done to it. Outlives the device, as a host's state does.
struct script {
  /// So many calls end in an exception, unless the chain is poisoned.
  int throws = 0;
  /// So many starts fail.
  int refused_starts = 0;
  std::optional<failure> fails;
  /// Chains are taken and kept.
  bool keeps = false;
  std::vector<std::uint16_t> queue_sizes{8};
  std::string config = "config";
  bool config_writable = false;
  /// Runs at the end of activate.
  std::function<void(virtio::activation&)> started;

  int activations = 0;
  int resets = 0;
  int pauses = 0;
  std::uint64_t features = 0;
  std::vector<std::uint8_t> attempts;
};

class scripted_device final : public virtio::device {
public:
  explicit scripted_device(script& plan) : plan_(plan) {}
  ~scripted_device() override { reset(); }

  virtio::device_type type() const noexcept override { return virtio::device_type::rng; }
  std::string_view name() const noexcept override { return "scripted"; }
  std::span<const std::uint16_t> queue_sizes() const noexcept override { return plan_.queue_sizes; }
  std::uint64_t features() const noexcept override { return 4; }
  void read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept override {
    virtio::copy_config(std::as_bytes(std::span{plan_.config}), offset, into);
  }
  outcome<void> write_config(std::uint32_t offset, std::span<const std::byte> from) override {
    if (!plan_.config_writable || offset + from.size() > plan_.config.size())
      return virtio::device::write_config(offset, from);
    std::memcpy(plan_.config.data() + offset, from.data(), from.size());
    return {};
  }
  outcome<void> activate(virtio::activation with) override {
    ++plan_.activations;
    if (plan_.refused_starts > 0) {
      --plan_.refused_starts;
      return fail(errc::host_io, "no start today");
    }
    with_ = std::move(with);
    plan_.features = with_->features;
    if (plan_.started)
      plan_.started(*with_);
    return {};
  }
  outcome<virtio::progress> process(std::size_t index) override {
    auto& queue = *with_->queues[index];
    virtio::chain chain;
    while (TRY(queue.pop(chain)))
      TRY(serve(queue, chain));
    queue.notify();
    return virtio::progress::idle;
  }
  void pause() noexcept override { ++plan_.pauses; }
  outcome<void> resume(std::shared_ptr<const memory::guest_memory>) override { return {}; }
  void reset() noexcept override {
    plan_.resets += with_ ? 1 : 0;
    with_.reset();
  }

private:
  outcome<void> serve(virtio::queue& queue, const virtio::chain& chain) {
    plan_.attempts.push_back(chain.attempts);
    if (plan_.throws > 0 && !chain.poisoned()) {
      --plan_.throws;
      throw std::runtime_error("poison");
    }
    if (plan_.fails)
      return tl::unexpected(*plan_.fails);
    if (plan_.keeps)
      return {};
    ++counters_.chains;
    chain.write(0, std::as_bytes(std::span{std::string_view{"ok"}}));
    return queue.put_used(chain, chain.poisoned() ? 0 : 2);
  }

  script& plan_;
  std::optional<virtio::activation> with_;
};

} // namespace troupe::testing
