#pragma once

#include "actors/devices/bus/address_space.hpp"
#include "actors/devices/transport/mmio/machine_port.hpp"
#include "actors/devices/transport/mmio/registers.hpp"
#include "actors/devices/virtio/device.hpp"
#include "tests/support/guest_ram.hpp"

#include <sys/eventfd.h>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

/// A machine without KVM, and a driver of virtio-mmio devices in it.
namespace troupe::testing {

/// Doorbells and interrupts as KVM has them, in memory. Any thread.
class fake_machine final : public mmio::machine_port {
public:
  outcome<std::unique_ptr<mmio::connection>> connect_doorbell(gpa at, std::uint32_t queue,
                                                              mmio::shared_event event) override {
    if (!has_doorbells)
      return fail(errc::unimplemented, "no doorbells");
    if (queue == refused_queue)
      return fail(errc::host_io, "no room for a doorbell");
    const std::lock_guard guard{mutex_};
    if (!doorbells_.emplace(std::pair{at, queue}, std::move(event)).second)
      return fail(errc::already_exists, "doorbell {} at {:#x}", queue, at);
    return std::make_unique<doorbell>(*this, std::pair{at, queue});
  }
  outcome<std::unique_ptr<bus::irq_line>> interrupt(std::uint32_t gsi) override {
    class line final : public bus::irq_line {
    public:
      explicit line(std::atomic<int>& count) : count_(count) {}
      void raise() noexcept override { ++count_; }

    private:
      std::atomic<int>& count_;
    };
    last_gsi = gsi;
    return std::make_unique<line>(interrupts);
  }

  /// A guest's 4-byte write: true when a doorbell took it.
  bool ring(gpa at, std::uint32_t value) {
    const std::lock_guard guard{mutex_};
    const auto it = doorbells_.find({at, value});
    return it != doorbells_.end() && ::eventfd_write(it->second->get(), 1) == 0;
  }
  [[nodiscard]] std::size_t doorbells() {
    const std::lock_guard guard{mutex_};
    return doorbells_.size();
  }

  bool has_doorbells = true;
  std::uint32_t refused_queue = ~0U;
  std::uint32_t last_gsi = 0;
  std::atomic<int> interrupts = 0;

private:
  using key = std::pair<gpa, std::uint32_t>;

  class doorbell final : public mmio::connection {
  public:
    doorbell(fake_machine& owner, key what) : owner_(owner), what_(what) {}
    ~doorbell() override {
      const std::lock_guard guard{owner_.mutex_};
      owner_.doorbells_.erase(what_);
    }

  private:
    fake_machine& owner_;
    key what_;
  };

  std::mutex mutex_;
  std::map<key, mmio::shared_event> doorbells_;
};

/// The steps of a driver, each of which a test can leave out or turn round.
class mmio_driver {
public:
  mmio_driver(bus::address_space& bus, fake_machine& machine, gpa base)
      : bus_(bus), machine_(machine), base_(base) {}

  template <class T>
  T read(std::uint64_t offset) {
    std::array<std::byte, sizeof(T)> bytes{};
    bus_.read(base_ + offset, bytes);
    return static_cast<T>(bus::load(bytes));
  }
  template <class T>
  void write(std::uint64_t offset, T value) {
    std::array<std::byte, sizeof(T)> bytes{};
    bus::store(value, bytes);
    bus_.write(base_ + offset, bytes);
  }
  std::uint32_t get(mmio::reg from) {
    return read<std::uint32_t>(static_cast<std::uint32_t>(from));
  }
  void set(mmio::reg to, std::uint32_t value) { write(static_cast<std::uint32_t>(to), value); }

  std::uint32_t status() { return get(mmio::reg::status); }
  void set_status(std::uint32_t value) { set(mmio::reg::status, value); }

  std::uint64_t offered() {
    set(mmio::reg::device_features_select, 1);
    const std::uint64_t high = get(mmio::reg::device_features);
    set(mmio::reg::device_features_select, 0);
    return high << 32 | get(mmio::reg::device_features);
  }
  void acknowledge(std::uint64_t features) {
    set(mmio::reg::driver_features_select, 1);
    set(mmio::reg::driver_features, static_cast<std::uint32_t>(features >> 32));
    set(mmio::reg::driver_features_select, 0);
    set(mmio::reg::driver_features, static_cast<std::uint32_t>(features));
  }
  /// Up to FEATURES_OK; false when the device does not agree.
  bool agree(std::uint64_t features = virtio::feature_version_1) {
    set_status(0);
    set_status(0x1);
    set_status(0x3);
    acknowledge(features);
    set_status(0xb);
    return status() == 0xb;
  }
  /// Describes queue `index`; true when the device took it.
  bool set_up(std::uint32_t index, const virtio::queue_state& at) {
    using mmio::reg;
    set(reg::queue_select, index);
    set(reg::queue_size, at.size);
    set_address(reg::queue_descriptors_low, at.descriptors);
    set_address(reg::queue_available_low, at.available);
    set_address(reg::queue_used_low, at.used);
    set(reg::queue_ready, 1);
    return get(reg::queue_ready) == 1;
  }
  void run() { set_status(0xf); }
  /// As the CPU does it: by the doorbell where there is one, else by the register.
  void kick(std::uint32_t queue) {
    constexpr auto offset = static_cast<std::uint32_t>(mmio::reg::queue_notify);
    if (!machine_.ring(base_ + offset, queue))
      write(offset, queue);
  }

private:
  void set_address(mmio::reg low, gpa at) {
    const auto offset = static_cast<std::uint32_t>(low);
    write(offset, static_cast<std::uint32_t>(at));
    write(offset + 4, static_cast<std::uint32_t>(at >> 32));
  }

  bus::address_space& bus_;
  fake_machine& machine_;
  gpa base_;
};

} // namespace troupe::testing
