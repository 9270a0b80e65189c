#include "actors/devices/virtio/queue.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>

namespace troupe::virtio {
namespace {

// The driver does not want interrupts (VIRTIO 1.2, 2.7.7); only without the event index.
constexpr std::uint16_t available_no_interrupt = 1;

// used.len is 32 bits wide: no chain may hold more than it can tell.
constexpr std::size_t chain_bytes_max = std::numeric_limits<std::uint32_t>::max();

// Whether `event` lies in (old, now], all free running (VIRTIO 1.2, 2.7.10.1).
bool passed(std::uint16_t event, std::uint16_t now, std::uint16_t old) {
  return static_cast<std::uint16_t>(now - event - 1) < static_cast<std::uint16_t>(now - old);
}

outcome<void> check(const queue_state& state, std::uint16_t size_max) {
  if (!std::has_single_bit(state.size) || state.size > size_max)
    return fail(errc::guest_fault, "queue size {}: not a power of two up to {}", state.size,
                size_max);
  if (state.descriptors % 16 != 0 || state.available % 2 != 0 || state.used % 4 != 0)
    return fail(errc::guest_fault, "queue at {:#x}, {:#x}, {:#x}: not aligned", state.descriptors,
                state.available, state.used);
  for (const auto& it : state.taken)
    if (it.head >= state.size || it.attempts == 0)
      return fail(errc::guest_fault, "queue: in-flight head {} of {}", it.head, state.size);
  return {};
}

} // namespace

outcome<std::unique_ptr<queue>> queue::attach(queue_state state, std::uint16_t size_max,
                                              std::shared_ptr<const memory::guest_memory> ram,
                                              interrupt& irq) {
  TRY(check(state, size_max));
  std::unique_ptr<queue> it{new queue{std::move(state), irq}};
  it->notified_ = it->state_.next_used;
  it->attempts_.resize(it->state_.size);
  for (const auto& taken : it->state_.taken)
    it->attempts_[taken.head] = taken.attempts;
  it->in_flight_ = static_cast<std::size_t>(
      std::ranges::count_if(it->attempts_, [](std::uint8_t n) { return n > 0; }));
  it->state_.taken.clear();
  TRY(it->rebind(std::move(ram)));
  return it;
}

outcome<void> queue::rebind(std::shared_ptr<const memory::guest_memory> ram) {
  const auto bind = [&]() -> outcome<ring_view> {
    const auto size = state_.size;
    const auto table = TRY(ram->contiguous(state_.descriptors, descriptors_bytes(size)));
    const auto available = TRY(ram->contiguous(state_.available, available_bytes(size)));
    const auto used = TRY(ram->contiguous(state_.used, used_bytes(size)));
    return ring_view{table, available, used, size};
  };
  auto ring = bind();
  if (!ring)
    return die(within("queue", std::move(ring).error()).value());
  ring_ = *ring;
  ram_ = std::move(ram);
  last_.reset();
  return {};
}

outcome<bool> queue::pop(chain& out) {
  if (dead_)
    return tl::unexpected(*dead_);
  const auto resumed = !resumed_.empty();
  const auto head = resumed ? resumed_.front() : TRY(next_head());
  if (!head)
    return false;
  if (auto walked = walk(*head, out); !walked)
    return die(std::move(walked).error());
  if (resumed) {
    resumed_.pop_front();
  } else {
    ++state_.next_available;
    ++in_flight_;
  }
  auto& attempts = attempts_[*head];
  if (attempts < std::numeric_limits<std::uint8_t>::max())
    ++attempts;
  out.attempts = attempts;
  last_ = last_pop{*head, resumed};
  return true;
}

outcome<std::optional<std::uint16_t>> queue::next_head() {
  const auto offered = ring_.available_index(); // Acquire: entries and descriptors are read after.
  const auto pending = static_cast<std::uint16_t>(offered - state_.next_available);
  if (pending == 0)
    return std::nullopt;
  if (pending > state_.size || in_flight_ == state_.size)
    return die(
        {errc::guest_fault, fmt::format("available ring: {} new entries, {} in flight, size {}",
                                        pending, in_flight_, state_.size)});
  const auto head = ring_.available_entry(state_.next_available);
  if (head >= state_.size)
    return die(
        {errc::guest_fault, fmt::format("available ring: head {} of {}", head, state_.size)});
  if (attempts_[head] > 0)
    return die({errc::guest_fault, fmt::format("available ring: head {} is in flight", head)});
  return head;
}

outcome<void> queue::walk(std::uint16_t head, chain& out) const {
  out = chain{.head = head, .segments = std::move(out.segments)};
  out.segments.clear();
  table from{.entries = state_.size};
  auto index = head;
  for (std::size_t visited = 0; visited < state_.size;) {
    const auto part = TRY(load(from, index));
    if ((part.flags & descriptor_indirect) != 0) {
      if (from.indirect)
        return fail(errc::guest_fault, "descriptor {}: indirect within indirect", index);
      from = TRY(indirect_table(part));
      index = 0;
      continue;
    }
    TRY(add(part, out));
    ++visited;
    if ((part.flags & descriptor_next) == 0)
      return {};
    if (part.next >= from.entries)
      return fail(errc::guest_fault, "descriptor {}: next {} of {}", index, part.next,
                  from.entries);
    index = part.next;
  }
  return fail(errc::guest_fault, "chain {}: more than {} descriptors", head, state_.size);
}

outcome<descriptor> queue::load(const table& from, std::uint16_t index) const {
  if (!from.indirect)
    return load_descriptor(ring_.descriptors(), index);
  descriptor it;
  TRY(ram_->read(from.address + sizeof(it) * index, std::as_writable_bytes(std::span{&it, 1})));
  return it;
}

outcome<queue::table> queue::indirect_table(const descriptor& it) const {
  const auto entries = it.length / sizeof(descriptor);
  if (!state_.indirect || (it.flags & descriptor_next) != 0)
    return fail(errc::guest_fault, "indirect descriptor: flags {:#x} as negotiated {}", it.flags,
                state_.indirect);
  if (it.length % sizeof(descriptor) != 0 || entries == 0 || entries > state_.size)
    return fail(errc::guest_fault, "indirect table: {} bytes for a queue of {}", it.length,
                state_.size);
  if (it.length > std::numeric_limits<gpa>::max() - it.address)
    return fail(errc::guest_fault, "indirect table: {:#x} wraps", it.address);
  return table{it.address, entries, true};
}

outcome<void> queue::add(const descriptor& part, chain& out) const {
  const auto writable = (part.flags & descriptor_write) != 0;
  auto& bytes = writable ? out.writable_bytes : out.readable_bytes;
  if (!writable && out.segments.size() > out.readable_segments)
    return fail(errc::guest_fault, "chain {}: readable after writable", out.head);
  if (part.length > chain_bytes_max - out.readable_bytes - out.writable_bytes)
    return fail(errc::guest_fault, "chain {}: more than {} bytes", out.head, chain_bytes_max);
  TRY(ram_->slice(part.address, part.length, out.segments));
  if (!writable)
    out.readable_segments = out.segments.size();
  bytes += part.length;
  return {};
}

outcome<void> queue::un_pop(const chain& it) {
  if (!last_ || last_->head != it.head)
    return fail(errc::internal, "un-pop of chain {}: not the last one popped", it.head);
  auto& attempts = attempts_[it.head];
  --attempts;
  if (last_->resumed) {
    resumed_.push_front(it.head);
  } else {
    --state_.next_available;
    --in_flight_;
  }
  last_.reset();
  return {};
}

outcome<void> queue::put_used(const chain& it, std::uint32_t written) {
  if (dead_)
    return tl::unexpected(*dead_);
  if (it.head >= state_.size || attempts_[it.head] == 0)
    return fail(errc::internal, "completion of chain {}: not in flight", it.head);
  if (written > it.writable_bytes)
    return fail(errc::internal, "completion of chain {}: {} bytes into {}", it.head, written,
                it.writable_bytes);
  attempts_[it.head] = 0;
  --in_flight_;
  last_.reset();
  ring_.put_used(state_.next_used++, it.head, written);
  ring_.set_used_index(state_.next_used);
  return {};
}

void queue::notify() noexcept {
  if (dead_ || notified_ == state_.next_used)
    return;
  // The used index must be visible before the driver's wish is read, or both sides go to sleep.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto old = std::exchange(notified_, state_.next_used);
  const auto first = !std::exchange(has_notified_, true);
  const auto wanted = state_.event_index
                          ? first || passed(ring_.used_event(), state_.next_used, old)
                          : (ring_.available_flags() & available_no_interrupt) == 0;
  if (wanted)
    irq_->raise();
}

bool queue::rearm() noexcept {
  if (dead_)
    return false;
  if (state_.event_index)
    ring_.set_available_event(state_.next_available);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return !resumed_.empty() || ring_.available_index() != state_.next_available;
}

void queue::requeue_taken() {
  resumed_.clear();
  for (std::size_t head = 0; head < attempts_.size(); ++head)
    if (attempts_[head] > 0)
      resumed_.push_back(static_cast<std::uint16_t>(head));
  last_.reset();
}

queue_state queue::state() const {
  auto state = state_;
  for (std::size_t head = 0; head < attempts_.size(); ++head)
    if (attempts_[head] > 0)
      state.taken.push_back({static_cast<std::uint16_t>(head), attempts_[head]});
  return state;
}

tl::unexpected<failure> queue::die(failure why) {
  dead_ = why;
  return tl::unexpected(std::move(why));
}

} // namespace troupe::virtio
