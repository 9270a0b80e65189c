#include "actors/devices/virtio/console/device.hpp"

#include "actors/devices/virtio/guarded.hpp"

#include <algorithm>

namespace troupe::console {
namespace {

enum queue_index : std::size_t { receive_queue = 0, transmit_queue = 1 };

constexpr std::array<std::uint16_t, 2> ring_sizes{256, 256};

} // namespace

virtio::device_type device::type() const noexcept {
  return virtio::device_type::console;
}

std::span<const std::uint16_t> device::queue_sizes() const noexcept {
  return ring_sizes;
}

void device::read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept {
  virtio::copy_config({}, offset, into); // Every field belongs to a feature we do not offer.
}

outcome<void> device::activate(virtio::activation with) {
  running_ = std::make_unique<running>();
  running_->given = std::move(with);
  listen();
  return {};
}

void device::reset() noexcept {
  if (running_)
    port_->listen({});
  running_.reset();
}

void device::pause() noexcept {
  if (running_)
    running_->paused = true;
}

outcome<void> device::resume(std::shared_ptr<const memory::guest_memory> memory) {
  if (!running_)
    return {};
  running_->given.memory = std::move(memory);
  running_->paused = false;
  listen();
  return {};
}

/// Input comes from any thread; what waits already is looked at as well.
void device::listen() {
  const auto tell = [this, loop = running_->given.loop, alive = std::weak_ptr{running_->alive}] {
    loop->post("console", [this, alive] {
      if (!alive.expired())
        pump();
    });
  };
  port_->listen(tell);
  tell();
}

void device::pump() {
  virtio::guarded(running_->given, "input", [this]() -> outcome<void> {
    if (TRY(process(receive_queue)) == virtio::progress::more)
      listen();
    return {};
  });
}

outcome<virtio::progress> device::process(std::size_t index) {
  if (!running_ || running_->paused || index >= running_->given.queues.size())
    return virtio::progress::idle;
  auto* const queue = running_->given.queues[index];
  if (queue == nullptr)
    return virtio::progress::idle;
  return index == receive_queue ? receive(*queue) : transmit(*queue);
}

outcome<virtio::progress> device::receive(virtio::queue& to) {
  for (int i = 0; i < chains_per_turn && port_->has_input(); ++i) {
    if (TRY(one_receive(to)))
      continue;
    to.notify();
    if (!to.rearm())
      return virtio::progress::idle; // The guest kicks once it has room again.
  }
  to.notify();
  return port_->has_input() ? virtio::progress::more : virtio::progress::idle;
}

/// False when the guest has no room.
outcome<bool> device::one_receive(virtio::queue& to) {
  auto& it = *running_;
  if (!TRY(to.pop(it.chain)))
    return false;
  ++counters_.chains;
  if (it.chain.writable_bytes == 0 || it.chain.poisoned()) {
    ++counters_.errors;
    TRY(to.put_used(it.chain, 0));
    return true;
  }
  const auto room = std::min(it.bytes.size(), it.chain.writable_bytes);
  const auto some = std::span{it.bytes}.first(room);
  const auto count = port_->peek(some);
  it.chain.write(0, std::as_bytes(some.first(count)));
  TRY(to.put_used(it.chain, static_cast<std::uint32_t>(count)));
  port_->drop(count);
  counters_.bytes += count;
  return true;
}

outcome<virtio::progress> device::transmit(virtio::queue& from) {
  for (int i = 0; i < chains_per_turn; ++i) {
    if (TRY(from.pop(running_->chain))) {
      TRY(one_transmit(from));
      continue;
    }
    from.notify();
    if (!from.rearm())
      return virtio::progress::idle;
  }
  from.notify();
  return virtio::progress::more;
}

outcome<void> device::one_transmit(virtio::queue& from) {
  auto& it = *running_;
  ++counters_.chains;
  const auto wanted = it.chain.poisoned() ? 0 : std::min(it.chain.readable_bytes, chain_bytes_max);
  for (std::size_t done = 0; done < wanted;) {
    const auto piece = std::span{it.bytes}.first(std::min(it.bytes.size(), wanted - done));
    done += it.chain.read(done, std::as_writable_bytes(piece));
    port_->print({piece.data(), piece.size()});
  }
  counters_.bytes += wanted;
  counters_.errors += wanted < it.chain.readable_bytes ? 1 : 0;
  return from.put_used(it.chain, 0);
}

} // namespace troupe::console
