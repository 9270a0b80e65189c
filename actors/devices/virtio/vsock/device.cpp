#include "actors/devices/virtio/vsock/device.hpp"

#include "actors/devices/virtio/guarded.hpp"
#include "actors/vcpu/memory/access_raw.hpp"
#include "messages/vocabulary/log.hpp"

#include <array>

namespace troupe::vsock {
namespace {

enum queue_index : std::size_t { receive_queue = 0, transmit_queue = 1, event_queue = 2 };

// QEMU sets up 128 entries, our own transport may offer as many as QEMU's largest ring.
constexpr std::array<std::uint16_t, 3> ring_sizes{1024, 1024, 1024};

// Packets per turn and direction: other devices of the worker wait no longer than that.
constexpr int packets_per_turn = 64;

} // namespace

device::running::running(device& owner, virtio::activation with)
    : given(std::move(with)),
      host(*owner.where_, *given.loop,
           [this](std::uint32_t port, std::unique_ptr<stream> client) {
             const auto opened = mux.open(port, std::move(client), monotonic_clock::now());
             if (!opened)
               log::warn("vsock", "{}", opened.error().text);
           }),
      mux(owner.guest_cid_, host, owner.where_->ledger, [&owner] { owner.wake(); }) {}

virtio::device_type device::type() const noexcept {
  return virtio::device_type::vsock;
}

std::span<const std::uint16_t> device::queue_sizes() const noexcept {
  return ring_sizes;
}

void device::read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept {
  virtio::copy_config(std::as_bytes(std::span{&guest_cid_, 1}), offset, into);
}

outcome<void> device::activate(virtio::activation with) {
  if (with.queues.size() <= transmit_queue || with.queues[receive_queue] == nullptr ||
      with.queues[transmit_queue] == nullptr)
    return fail(errc::guest_fault, "vsock: without a receive or transmit queue");
  running_ = std::make_unique<running>(*this, std::move(with));
  return running_->host.start();
}

void device::reset() noexcept {
  if (!running_)
    return;
  running_->given.loop->cancel(running_->timer);
  running_.reset();
}

void device::pause() noexcept {
  if (!running_)
    return;
  running_->paused = true;
  running_->host.accepting(false);
}

outcome<void> device::resume(std::shared_ptr<const memory::guest_memory> memory) {
  if (!running_)
    return {};
  running_->given.memory = std::move(memory);
  running_->paused = false;
  running_->host.accepting(true);
  return {};
}

outcome<virtio::progress> device::process(std::size_t index) {
  if (!running_ || running_->paused || index == event_queue)
    return virtio::progress::idle;
  return serve();
}

// Both directions, whichever has something: packets of the guest may free credit, and room for
// packets to the guest lets more of its own be answered.
outcome<virtio::progress> device::serve() {
  const auto sent = TRY(drain_transmit());
  const auto stalled = !running_->mux.accepts();
  const auto received = TRY(fill_receive());
  schedule_expiry();
  const auto unstalled = stalled && running_->mux.accepts();
  return sent == virtio::progress::more || received == virtio::progress::more || unstalled
             ? virtio::progress::more
             : virtio::progress::idle;
}

outcome<virtio::progress> device::drain_transmit() {
  auto& queue = *running_->given.queues[transmit_queue];
  for (int i = 0; i < packets_per_turn && running_->mux.accepts(); ++i) {
    if (!TRY(queue.pop(running_->chain))) {
      queue.notify();
      if (!queue.rearm())
        return virtio::progress::idle;
      continue;
    }
    TRY(one_transmit(queue));
  }
  queue.notify();
  // Without room for replies, serve goes on once the guest has taken some.
  return running_->mux.accepts() ? virtio::progress::more : virtio::progress::idle;
}

outcome<void> device::one_transmit(virtio::queue& from) {
  const auto& chain = running_->chain;
  ++counters_.chains;
  header_image image{};
  if (chain.read(0, image) != image.size()) {
    ++counters_.errors;
    return from.put_used(chain, 0);
  }
  const auto packet = decode(image); // The only look at the header: the guest may rewrite it.
  if (chain.poisoned() || packet.length > chain.readable_bytes - header_bytes) {
    ++counters_.errors;
    running_->mux.refuse(packet);
  } else {
    const auto payload = memory::raw::window(chain.readable(), header_bytes, packet.length);
    running_->mux.from_guest(packet, payload);
    counters_.bytes += packet.length;
  }
  return from.put_used(chain, 0);
}

outcome<virtio::progress> device::fill_receive() {
  auto& queue = *running_->given.queues[receive_queue];
  for (int i = 0; i < packets_per_turn && running_->mux.has_packet(); ++i) {
    if (TRY(one_receive(queue)))
      continue;
    queue.notify();
    if (!queue.rearm())
      return virtio::progress::idle; // The guest kicks once it has room again.
  }
  queue.notify();
  return running_->mux.has_packet() ? virtio::progress::more : virtio::progress::idle;
}

// False when the guest has no room for a packet.
outcome<bool> device::one_receive(virtio::queue& to) {
  auto& chain = running_->chain;
  if (!TRY(to.pop(chain)))
    return false;
  if (chain.writable_bytes <= header_bytes)
    return fail(errc::guest_fault, "vsock: receive buffer of {} bytes", chain.writable_bytes);
  const auto room =
      memory::raw::window(chain.writable(), header_bytes, chain.writable_bytes - header_bytes);
  const auto packet = running_->mux.to_guest(room, monotonic_clock::now());
  if (!packet) {
    TRY(to.un_pop(chain));
    return true;
  }
  ++counters_.chains;
  counters_.bytes += packet->length;
  chain.write(0, encode(*packet));
  TRY(to.put_used(chain, static_cast<std::uint32_t>(header_bytes + packet->length)));
  return true;
}

// Called by the muxer in the midst of its work, so the pumping itself waits for the next turn.
void device::wake() {
  if (!running_ || std::exchange(running_->pump_posted, true))
    return;
  running_->given.loop->post("vsock", [this, alive = std::weak_ptr{running_->alive}] {
    if (alive.expired())
      return;
    running_->pump_posted = false;
    pump();
  });
}

// Work that comes from the host's side, outside process().
void device::pump() {
  if (!running_ || running_->paused)
    return;
  virtio::guarded(running_->given, "serve", [this]() -> outcome<void> {
    if (TRY(serve()) == virtio::progress::more)
      wake();
    return {};
  });
}

void device::schedule_expiry() {
  const auto next = running_->mux.next_deadline();
  if (!next || running_->timer != 0)
    return;
  const auto delay = std::chrono::ceil<milliseconds>(*next - monotonic_clock::now());
  running_->timer = running_->given.loop->after("vsock/expiry", delay, [this] {
    running_->timer = 0;
    running_->mux.expire(monotonic_clock::now());
    pump();
    if (running_ && !running_->paused)
      schedule_expiry();
  });
}

} // namespace troupe::vsock
