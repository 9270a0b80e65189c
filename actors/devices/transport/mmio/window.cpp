#include "actors/devices/transport/mmio/window.hpp"

#include "messages/vocabulary/log.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <exception>

namespace troupe::mmio {
namespace {

constexpr auto config_start = static_cast<std::uint64_t>(reg::config);
constexpr std::size_t register_bytes = 4;
// The widest access that a bus lets through.
constexpr std::size_t access_max = 8;

bool is_register(std::uint64_t offset, std::size_t length) {
  return offset % register_bytes == 0 && length == register_bytes;
}

} // namespace

window::window(std::unique_ptr<virtio::device> device, devices::worker& loop, window_parts parts)
    : loop_(loop), who_("mmio/" + std::string{device->name()}),
      device_id_(static_cast<std::uint32_t>(device->type())), patience_(parts.patience),
      signals_(std::move(parts.interrupt)),
      negotiation_(device->features() | virtio::ring_features, device->queue_sizes(), parts.ram,
                   signals_),
      ledger_(device->queue_sizes().size(), std::move(parts.doorbells), parts.ram, signals_),
      host_("mmio", ledger_, std::move(device), loop, std::move(parts.tell)) {}

void window::read(std::uint64_t offset, std::span<std::byte> into) noexcept {
  if (offset >= config_start)
    return host_.read_config(static_cast<std::uint32_t>(offset - config_start), into);
  if (!is_register(offset, into.size()))
    return refuse();
  bus::store(read_register(reg{static_cast<std::uint32_t>(offset)}), into);
}

std::uint32_t window::read_register(reg from) noexcept {
  switch (from) {
  case reg::magic:
    return magic_value;
  case reg::version:
    return version_value;
  case reg::device_id:
    return device_id_;
  case reg::vendor_id:
    return vendor_value;
  case reg::interrupt_status:
    return signals_.pending();
  case reg::config_generation:
    return host_.config_generation();
  default: {
    const std::lock_guard guard{mutex_};
    return negotiation_.read(from);
  }
  }
}

void window::write(std::uint64_t offset, std::span<const std::byte> from) noexcept {
  try {
    if (offset >= config_start)
      write_config(static_cast<std::uint32_t>(offset - config_start), from);
    else if (is_register(offset, from.size()))
      write_register(reg{static_cast<std::uint32_t>(offset)},
                     static_cast<std::uint32_t>(bus::load(from)));
    else
      refuse();
  } catch (const std::exception& error) { // No memory: the vCPU must live on.
    log::error(who_, "write to register {:#x}: {}", offset, error.what());
    signals_.need_reset(true);
  }
}

void window::write_register(reg to, std::uint32_t value) {
  if (to == reg::queue_notify)
    return notify(value);
  if (to == reg::interrupt_acknowledge)
    return signals_.acknowledge(value);
  const std::lock_guard guard{mutex_};
  carry_out(negotiation_.write(to, value));
}

// A doorbell that is not connected, or a machine without any.
void window::notify(std::uint32_t queue) noexcept {
  if (queue >= ledger_.count())
    return refuse();
  ++register_kicks_;
  // Fails only when the counter is full, and then the worker will look anyway.
  (void)::eventfd_write(ledger_.doorbell_of(queue)->get(), 1);
}

void window::write_config(std::uint32_t offset, std::span<const std::byte> from) {
  const std::lock_guard guard{mutex_};
  std::array<std::byte, access_max> copy{};
  const auto length = std::min(from.size(), copy.size());
  std::ranges::copy(from.first(length), copy.begin());
  (void)hand_over("write configuration", [offset, copy, length](window& it) {
    if (!it.host_.write_config(offset, std::span{copy}.first(length)))
      it.refuse();
  });
}

// @pre mutex_ is held.
void window::carry_out(deed what) {
  switch (what) {
  case deed::none:
    return;
  case deed::start:
    return begin();
  case deed::stop:
    (void)hand_over("stop", [](window& it) { it.host_.deactivate(); });
    return;
  case deed::reset:
    return reset();
  }
}

void window::begin() {
  started_ = true;
  const auto queues =
      std::make_shared<std::vector<std::unique_ptr<virtio::queue>>>(negotiation_.take_queues());
  (void)hand_over("start", [queues, features = negotiation_.features()](window& it) {
    if (it.signals_.needs_reset())
      return; // Too late: the driver was told so.
    it.ledger_.start(features, std::move(*queues));
    it.host_.reconcile();
  });
}

void window::reset() {
  ++resets_;
  if (started_ && !hand_over("reset", [](window& it) { it.rest(); }))
    return;
  started_ = false;
  negotiation_.reset();
  signals_.clear();
}

// True when the worker has done `work`. Its failures are the device host's to tell.
bool window::hand_over(const char* stage, std::function<void(window&)> work) {
  if (closed_)
    return false;
  const auto done = loop_.run(
      fmt::format("{}: {}", who_, stage),
      [it = shared_from_this(), work = std::move(work)] { work(*it); }, patience_);
  if (done)
    return true;
  log::error(who_, "{}", done.error().text);
  ++overdue_;
  signals_.need_reset(true);
  return false;
}

void window::close() noexcept {
  const std::lock_guard guard{mutex_};
  closed_ = true;
  started_ = true; // So that no reset makes the guest believe that a device is there.
  signals_.need_reset(false);
}

void window::use(std::shared_ptr<const memory::guest_memory> ram) noexcept {
  const std::lock_guard guard{mutex_};
  negotiation_.use(std::move(ram));
}

void window::rest() noexcept {
  host_.deactivate();
  ledger_.stop();
}

void window::remap(std::shared_ptr<const memory::guest_memory> ram) {
  const auto paused = host_.paused();
  host_.pause();
  ledger_.use(std::move(ram));
  if (!paused)
    host_.resume();
}

std::uint64_t window::refused() const noexcept {
  const std::lock_guard guard{mutex_};
  return refused_ + negotiation_.refused();
}

} // namespace troupe::mmio
