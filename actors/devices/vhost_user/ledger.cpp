#include "actors/devices/vhost_user/ledger.hpp"

#include "actors/devices/virtio/device.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace troupe::vhost_user {
namespace {

// A peer's eventfd must never block our thread, whatever it really is.
outcome<void> unblock(int fd) {
  const auto flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_errno("make a ring's descriptor non-blocking", errno);
  return {};
}

} // namespace

void call_line::raise() noexcept {
  // Fails only when the counter is full: then the driver has not looked yet and will.
  if (fd_)
    (void)::eventfd_write(fd_.get(), 1);
}

ledger::ledger(std::span<const std::uint16_t> sizes, std::uint64_t offered)
    : sizes_(sizes.begin(), sizes.end()), offered_(offered), rings_(sizes.size()) {}

outcome<ring*> ledger::at(std::size_t index) {
  if (index >= rings_.size())
    return fail(errc::peer_fault, "ring {}: the device has {}", index, rings_.size());
  return &rings_[index];
}

outcome<void> ledger::set_features(std::uint64_t acknowledged) {
  if ((acknowledged & ~offered_) != 0)
    return fail(errc::peer_fault, "features {:#x}: only {:#x} are offered", acknowledged, offered_);
  features_ = acknowledged;
  if ((features_ & wire::feature_protocol) == 0)
    for (auto& it : rings_)
      it.enabled = true;
  return {};
}

outcome<void> ledger::set_memory(std::span<const wire::memory_region> regions,
                                 std::vector<unique_fd> fds) {
  std::vector<memory::region> parts;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const auto& it = regions[i];
    if (it.size > std::numeric_limits<std::uint64_t>::max() - it.user_address)
      return fail(errc::peer_fault, "memory table: user address {:#x} wraps", it.user_address);
    parts.push_back({it.guest_address, it.size, std::move(fds.at(i)), it.fd_offset});
  }
  auto mapped = memory::guest_memory::map(std::move(parts));
  if (!mapped) {
    auto why = std::move(mapped).error();
    if (why.code == errc::invalid_argument)
      why.code = errc::peer_fault;
    return within("memory table", std::move(why));
  }
  memory_ = *std::move(mapped);
  regions_.assign(regions.begin(), regions.end());
  return {};
}

outcome<gpa> ledger::translate(std::uint64_t user) const {
  for (const auto& it : regions_)
    if (user >= it.user_address && user - it.user_address < it.size)
      return it.guest_address + (user - it.user_address);
  return fail(errc::peer_fault, "user address {:#x}: in no memory region", user);
}

outcome<void> ledger::set_size(wire::vring_state to) {
  auto& it = *TRY(at(to.index));
  if (to.value > sizes_[to.index])
    return fail(errc::peer_fault, "ring {}: {} entries, at most {}", to.index, to.value,
                sizes_[to.index]);
  it.size = to.value;
  return {};
}

outcome<void> ledger::set_base(wire::vring_state to) {
  auto& it = *TRY(at(to.index));
  if (to.value > std::numeric_limits<std::uint16_t>::max())
    return fail(errc::peer_fault, "ring {}: base {}", to.index, to.value);
  it.base = static_cast<std::uint16_t>(to.value);
  return {};
}

outcome<void> ledger::set_address(const wire::vring_address& to) {
  TRY(at(to.index))->address = to;
  return {};
}

outcome<void> ledger::set_kick(vring_fd to) {
  auto& it = *TRY(at(to.index));
  if (!to.fd)
    return fail(errc::peer_fault, "ring {}: no kick descriptor, and we do not poll", to.index);
  TRY(unblock(to.fd.get()));
  it.kick = std::move(to.fd);
  ++generation_;
  return {};
}

outcome<void> ledger::set_call(vring_fd to) {
  auto& it = *TRY(at(to.index));
  if (to.fd)
    TRY(unblock(to.fd.get()));
  it.call.connect(std::move(to.fd));
  return {};
}

outcome<void> ledger::set_error(vring_fd to) {
  auto& it = *TRY(at(to.index));
  if (to.fd)
    TRY(unblock(to.fd.get()));
  it.error.connect(std::move(to.fd));
  return {};
}

outcome<void> ledger::set_enabled(wire::vring_state to) {
  auto& it = *TRY(at(to.index));
  if (to.value > 1)
    return fail(errc::peer_fault, "ring {}: enable {}", to.index, to.value);
  it.enabled = to.value == 1;
  return {};
}

outcome<void> ledger::stop(std::size_t index) {
  TRY(at(index))->kick.reset();
  ++generation_;
  return {};
}

void ledger::stop_all() noexcept {
  for (auto& it : rings_) {
    it.kick.reset();
    it.queue.reset();
    it.base = 0;
    it.enabled = (features_ & wire::feature_protocol) == 0;
  }
  ++generation_;
}

std::uint16_t ledger::base_of(std::size_t index) {
  auto& it = rings_[index];
  if (it.queue)
    it.base = it.queue->state().next_available;
  it.queue.reset();
  return it.base;
}

bool ledger::runnable() const noexcept {
  const auto started = [](const ring& it) { return it.started(); };
  return memory_ && std::ranges::any_of(rings_, started) &&
         std::ranges::all_of(rings_, [](const ring& it) { return !it.started() || it.enabled; });
}

virtio::queue* ledger::queue_of(std::size_t index) noexcept {
  const auto& it = rings_[index];
  return it.started() ? it.queue.get() : nullptr;
}

int ledger::kick_of(std::size_t index) const noexcept {
  return rings_[index].kick.get();
}

void ledger::stopped(bool) noexcept {
  for (auto& it : rings_)
    if (it.started())
      it.error.raise();
}

outcome<virtio::queue_state> ledger::describe(const ring& it) const {
  if (!it.address)
    return fail(errc::peer_fault, "started without addresses");
  virtio::queue_state state;
  state.size = static_cast<std::uint16_t>(it.size);
  state.descriptors = TRY(translate(it.address->descriptors));
  state.available = TRY(translate(it.address->available));
  state.used = TRY(translate(it.address->used));
  state.next_available = it.base;
  // The front-end does not tell how far the used ring got, but the guest's memory does.
  state.next_used = TRY(memory_->load_u16(state.used + sizeof(std::uint16_t)));
  state.event_index = (features_ & virtio::feature_event_index) != 0;
  state.indirect = (features_ & virtio::feature_indirect) != 0;
  return state;
}

outcome<void> ledger::attach_queues() {
  for (std::size_t i = 0; i < rings_.size(); ++i) {
    auto& it = rings_[i];
    if (!it.started() || it.queue)
      continue;
    auto state = describe(it);
    auto queue = state ? virtio::queue::attach(*std::move(state), sizes_[i], memory_, it.call)
                       : tl::unexpected(std::move(state).error());
    if (!queue)
      return within(fmt::format("ring {}", i), std::move(queue).error());
    it.queue = *std::move(queue);
  }
  return {};
}

} // namespace troupe::vhost_user
