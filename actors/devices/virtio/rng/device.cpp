#include "actors/devices/virtio/rng/device.hpp"

#include "messages/vocabulary/log.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace troupe::rng {
namespace {

constexpr std::array<std::uint16_t, 1> ring_sizes{256};

} // namespace

outcome<void> host_entropy(std::span<std::byte> into) {
  while (!into.empty()) {
    const auto got = ::getrandom(into.data(), into.size(), 0);
    if (got < 0 && errno != EINTR)
      return fail_errno("getrandom", errno);
    into = into.subspan(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  return {};
}

virtio::device_type device::type() const noexcept {
  return virtio::device_type::rng;
}

std::span<const std::uint16_t> device::queue_sizes() const noexcept {
  return ring_sizes;
}

void device::read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept {
  virtio::copy_config({}, offset, into);
}

outcome<void> device::activate(virtio::activation with) {
  paused_ = false;
  with_ = std::move(with);
  return {};
}

outcome<void> device::resume(std::shared_ptr<const memory::guest_memory> memory) {
  paused_ = false;
  if (with_)
    with_->memory = std::move(memory);
  return {};
}

outcome<virtio::progress> device::process(std::size_t index) {
  if (!with_ || paused_ || index >= with_->queues.size() || with_->queues[index] == nullptr)
    return virtio::progress::idle;
  auto& queue = *with_->queues[index];
  for (int i = 0; i < requests_per_turn; ++i) {
    if (TRY(queue.pop(request_))) {
      TRY(serve(queue));
      continue;
    }
    queue.notify();
    if (!queue.rearm())
      return virtio::progress::idle;
  }
  queue.notify();
  return virtio::progress::more;
}

outcome<void> device::serve(virtio::queue& from) {
  const auto written = request_.poisoned() ? 0 : fill();
  ++counters_.chains;
  counters_.bytes += written;
  counters_.errors += written == 0 ? 1 : 0;
  return from.put_used(request_, written);
}

/// @returns how many bytes the guest got; 0 when there was no room or no entropy.
std::uint32_t device::fill() {
  std::array<std::byte, request_bytes_max> bytes;
  const auto some = std::span{bytes}.first(std::min(bytes.size(), request_.writable_bytes));
  if (const auto filled = from_(some); !filled) {
    log::warn("rng", "{}", filled.error().text);
    return 0;
  }
  const auto written = request_.write(0, some);
  ::explicit_bzero(some.data(), some.size()); // The guest's secret does not stay on our stack.
  return static_cast<std::uint32_t>(written);
}

} // namespace troupe::rng
