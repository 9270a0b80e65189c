#include "actors/devices/transport/mmio/negotiation.hpp"

#include "actors/devices/virtio/device.hpp"
#include "messages/vocabulary/log.hpp"

namespace troupe::mmio {
namespace {

// The four states on a driver's way (VIRTIO 1.2, 3.1.1).
constexpr std::uint32_t seen = status_acknowledge;
constexpr std::uint32_t driven = seen | status_driver;
constexpr std::uint32_t agreed = driven | status_features_ok;
constexpr std::uint32_t running = agreed | status_driver_ok;

// The only order of states.
constexpr std::uint32_t after(std::uint32_t status) {
  switch (status) {
  case 0:
    return seen;
  case seen:
    return driven;
  case driven:
    return agreed;
  case agreed:
    return running;
  default:
    return status;
  }
}

void set_low(gpa& of, std::uint32_t value) {
  of = (of & ~0xffff'ffffULL) | value;
}

void set_high(gpa& of, std::uint32_t value) {
  of = (of & 0xffff'ffffULL) | (std::uint64_t{value} << 32);
}

// The half of a feature set that `page` names; there are two.
std::uint32_t half(std::uint64_t features, std::uint32_t page) {
  return page < 2 ? static_cast<std::uint32_t>(features >> (32 * page)) : 0;
}

} // namespace

negotiation::negotiation(std::uint64_t offered, std::span<const std::uint16_t> sizes,
                         std::shared_ptr<const memory::guest_memory> ram, signals& tell)
    : offered_(offered), sizes_(sizes.begin(), sizes.end()), ram_(std::move(ram)), tell_(tell),
      rings_(sizes.size()) {}

std::uint32_t negotiation::status() const noexcept {
  return status_ | (tell_.needs_reset() ? status_needs_reset : 0);
}

std::uint32_t negotiation::read(reg from) const noexcept {
  const auto known = selected_ < rings_.size();
  switch (from) {
  case reg::device_features:
    return half(offered_, device_page_);
  case reg::queue_size_max:
    return known ? sizes_[selected_] : 0;
  case reg::queue_ready:
    return known && rings_[selected_].ready ? 1 : 0;
  case reg::status:
    return status();
  case reg::shared_memory_length_low:
  case reg::shared_memory_length_high:
  case reg::shared_memory_base_low:
  case reg::shared_memory_base_high:
    return no_shared_memory;
  default:
    return 0;
  }
}

deed negotiation::write(reg to, std::uint32_t value) {
  switch (to) {
  case reg::status:
    return write_status(value);
  case reg::device_features_select:
    device_page_ = value;
    break;
  case reg::driver_features_select:
    driver_page_ = value;
    break;
  case reg::driver_features:
    write_features(value);
    break;
  case reg::queue_select:
    selected_ = value;
    break;
  default:
    write_ring(to, value);
  }
  return deed::none;
}

deed negotiation::write_status(std::uint32_t value) {
  if (value == 0)
    return deed::reset;
  value &= ~status_needs_reset; // Ours; a driver that adds a bit writes back what it read.
  if (value == status_)
    return deed::none;
  if (value == (status_ | status_failed)) {
    const auto was = std::exchange(status_, value);
    return was == running ? deed::stop : deed::none;
  }
  const auto legal = value == after(status_) && !tell_.needs_reset();
  // Features that do not fit are no lie: the bit stays away, and the driver reads that.
  if (!legal || (value == agreed && !features_fit())) {
    refuse();
    return deed::none;
  }
  status_ = value;
  return value == running ? deed::start : deed::none;
}

bool negotiation::features_fit() const noexcept {
  return (acknowledged_ & ~offered_) == 0 && (acknowledged_ & virtio::feature_version_1) != 0 &&
         !beyond_offer_;
}

void negotiation::write_features(std::uint32_t value) {
  if (status_ != driven)
    return refuse();
  if (driver_page_ == 0)
    set_low(acknowledged_, value);
  else if (driver_page_ == 1)
    set_high(acknowledged_, value);
  else
    beyond_offer_ = beyond_offer_ || value != 0;
}

void negotiation::write_ring(reg to, std::uint32_t value) {
  if (status_ != agreed || tell_.needs_reset() || selected_ >= rings_.size())
    return refuse();
  auto& it = rings_[selected_];
  if (to == reg::queue_ready)
    return write_ready(it, value);
  if (it.ready)
    return refuse();
  switch (to) {
  case reg::queue_size:
    it.size = value;
    return;
  case reg::queue_descriptors_low:
    return set_low(it.descriptors, value);
  case reg::queue_descriptors_high:
    return set_high(it.descriptors, value);
  case reg::queue_available_low:
    return set_low(it.available, value);
  case reg::queue_available_high:
    return set_high(it.available, value);
  case reg::queue_used_low:
    return set_low(it.used, value);
  case reg::queue_used_high:
    return set_high(it.used, value);
  default:
    return refuse();
  }
}

void negotiation::write_ready(ring& it, std::uint32_t value) {
  if (value > 1)
    return refuse();
  it.queue.reset();
  it.ready = false;
  if (value == 0)
    return;
  if (const auto latched = latch(it); !latched) {
    log::debug("mmio", "queue {}: {}", selected_, latched.error().text);
    return tell_.need_reset(false);
  }
  it.ready = true;
}

outcome<void> negotiation::latch(ring& it) const {
  const auto largest = sizes_[selected_];
  if (it.size > largest)
    return fail(errc::guest_fault, "queue size {}: at most {}", it.size, largest);
  virtio::queue_state state;
  state.size = static_cast<std::uint16_t>(it.size);
  state.descriptors = it.descriptors;
  state.available = it.available;
  state.used = it.used;
  state.event_index = (acknowledged_ & virtio::feature_event_index) != 0;
  state.indirect = (acknowledged_ & virtio::feature_indirect) != 0;
  it.queue = TRY(virtio::queue::attach(std::move(state), largest, ram_, tell_));
  return {};
}

std::vector<std::unique_ptr<virtio::queue>> negotiation::take_queues() {
  std::vector<std::unique_ptr<virtio::queue>> taken;
  for (auto& it : rings_)
    taken.push_back(std::move(it.queue));
  return taken;
}

void negotiation::reset() noexcept {
  status_ = 0;
  device_page_ = 0;
  driver_page_ = 0;
  acknowledged_ = 0;
  beyond_offer_ = false;
  selected_ = 0;
  for (auto& it : rings_)
    it = ring{};
}

} // namespace troupe::mmio
