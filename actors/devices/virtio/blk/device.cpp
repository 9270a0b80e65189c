#include "actors/devices/virtio/blk/device.hpp"

#include "actors/devices/virtio/guarded.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace troupe::blk {
namespace {

/// Requests that one call of process() takes before the loop's other work has its turn.
constexpr int requests_per_turn = 64;

constexpr std::size_t writeback_offset = offsetof(wire::config, writeback);

wire::config describe(const disk& of) {
  const auto& shape = of.shape();
  wire::config it;
  it.capacity = shape.size / wire::sector;
  it.size_max = segment_bytes_max;
  it.seg_max = segments_max;
  it.block_size = shape.block_size;
  it.physical_block_exponent =
      static_cast<std::uint8_t>(std::countr_zero(shape.physical_block / shape.block_size));
  it.writeback = of.writeback ? 1 : 0;
  it.queues = of.options().queues;
  if (shape.discards) {
    it.max_discard_sectors = discard_sectors_max;
    it.max_discard_ranges = ranges_max;
    it.discard_alignment = shape.physical_block / wire::sector;
    it.max_write_zeroes_sectors = zero_sectors_max;
    it.max_write_zeroes_ranges = zero_ranges_max;
    it.write_zeroes_may_unmap = 1;
  }
  return it;
}

} // namespace

device::device(std::shared_ptr<disk> of)
    : disk_(std::move(of)), sizes_(disk_->options().queues, queue_entries) {}

virtio::device_type device::type() const noexcept {
  return virtio::device_type::blk;
}

std::span<const std::uint16_t> device::queue_sizes() const noexcept {
  return sizes_;
}

std::uint64_t device::features() const noexcept {
  auto it = wire::feature_size_max | wire::feature_seg_max | wire::feature_block_size |
            wire::feature_flush | wire::feature_topology | wire::feature_config_writeback;
  if (sizes_.size() > 1)
    it |= wire::feature_queues;
  if (disk_->shape().read_only)
    it |= wire::feature_read_only;
  if (disk_->shape().discards)
    it |= wire::feature_discard | wire::feature_write_zeroes;
  return it;
}

void device::read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept {
  const auto config = describe(*disk_);
  virtio::copy_config(std::as_bytes(std::span{&config, 1}), offset, into);
}

outcome<void> device::write_config(std::uint32_t offset, std::span<const std::byte> from) {
  if (offset != writeback_offset || from.size() != 1 || from[0] > std::byte{1})
    return virtio::device::write_config(offset, from);
  disk_->writeback = from[0] == std::byte{1};
  return {};
}

virtio::queue* device::queue(std::size_t index) const noexcept {
  const auto& all = running_->given.queues;
  return index < all.size() ? all[index] : nullptr;
}

outcome<void> device::activate(virtio::activation with) {
  TRY(disk_->open());
  running_ = std::make_unique<running>();
  running_->judged_by = {disk_->shape(), with.features, false, disk_->options().serial};
  running_->given = std::move(with);
  take_over();
  const auto watch =
      running_->given.loop->watch("blk", disk_->event(), EPOLLIN, [this](std::uint32_t) {
        eventfd_t ignored = 0;
        (void)::eventfd_read(disk_->event(), &ignored);
        pump();
      });
  if (!watch) {
    running_.reset();
    return tl::unexpected(watch.error());
  }
  running_->watch = *watch;
  wake(); // Results may be there already.
  return {};
}

/// Requests in flight, of earlier logic over the same queues or from before a pause, are popped
/// again; until then nobody may answer them.
void device::take_over() {
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    std::vector<std::uint16_t> heads;
    if (auto* const it = queue(i); it != nullptr) {
      for (const auto& taken : it->state().taken)
        heads.push_back(taken.head);
      it->requeue_taken();
    }
    disk_->keep_only(i, heads);
  }
}

/// Runs a turn, unless an earlier one was left by an exception or a failure: then nothing moves
/// until the transport has stopped the device.
template <class Turn>
outcome<virtio::progress> device::unless_broken(const Turn& turn) {
  if (!running_ || running_->paused || running_->broken)
    return virtio::progress::idle;
  running_->broken = true;
  outcome<virtio::progress> done = turn();
  running_->broken = !done;
  return done;
}

outcome<virtio::progress> device::process(std::size_t index) {
  return unless_broken([this, index] { return serve(index); });
}

outcome<virtio::progress> device::serve(std::size_t index) {
  if (queue(index) == nullptr)
    return virtio::progress::idle;
  const auto taken = TRY(take_requests(index, *queue(index)));
  const auto begun = disk_->kick();
  TRY(answer_finished()); // Some are done at once.
  if (running_->starved && !disk_->full())
    wake();
  return begun ? taken : virtio::progress::more;
}

outcome<virtio::progress> device::take_requests(std::size_t index, virtio::queue& from) {
  for (int i = 0; i < requests_per_turn; ++i) {
    if (disk_->full()) {
      running_->starved = true;
      return virtio::progress::idle;
    }
    auto& fresh = disk_->spare();
    fresh.queue = index;
    if (TRY(from.pop(fresh.request)))
      TRY(admit(fresh));
    else if (!from.rearm())
      return virtio::progress::idle;
  }
  return virtio::progress::more;
}

outcome<void> device::admit(slot& fresh) {
  auto& it = disk_->recognise(fresh);
  it.lent = true;
  return proceed(it);
}

/// The next step of a request that this logic has popped.
outcome<void> device::proceed(slot& it) {
  if (it.where == slot::stage::taken)
    begin(it, it.request.poisoned() && !std::exchange(it.cancelled, false));
  return it.where == slot::stage::result ? answer(it) : outcome<void>{};
}

void device::begin(slot& it, bool poisoned) {
  it.data_bytes = 0;
  it.status = wire::status::io_error;
  if (poisoned) {
    it.where = slot::stage::result;
    return;
  }
  const auto injected = pass("taken");
  auto& by = running_->judged_by;
  by.writeback = (by.features & wire::feature_flush) != 0 &&
                 ((by.features & wire::feature_config_writeback) == 0 || disk_->writeback);
  const auto what = judge(it.request, by, it);
  it.data_bytes = what.data_bytes;
  it.status = what.status;
  if (!what.execute) {
    it.where = slot::stage::result;
    return;
  }
  it.injected = injected;
  disk_->start(it, running_->given.memory);
  (void)pass("executing");
}

/// A point of the fault plan. @returns the errno that the step is to fail with, or 0.
io_error device::pass(const char* stage) const {
  const auto what = check_fault(disk_->options().faults.get(),
                                [stage] { return fmt::format("slot:blk:{}", stage); });
  if (!what)
    return 0;
  if (what->kind == fault_kind::kill || what->kind == fault_kind::throw_up)
    throw std::runtime_error(fmt::format("fault plan: slot:blk:{}", stage));
  if (what->kind != fault_kind::fail)
    return 0;
  return what->why.os_error != 0 ? what->why.os_error : EIO;
}

outcome<void> device::answer(slot& it) {
  if (!it.request.poisoned())
    (void)pass("result");
  return publish(it);
}

outcome<void> device::publish(slot& it) {
  const auto ok = it.status == wire::status::ok;
  const auto& request = it.request;
  std::uint32_t written = 0;
  if (request.writable_bytes > 0) {
    const std::array status{static_cast<std::byte>(it.status)};
    request.write(request.writable_bytes - 1, status);
    written = it.data_bytes + 1;
  }
  ++counters_.chains;
  counters_.errors += ok ? 0 : 1;
  for (const auto& part : it.buffers)
    counters_.bytes += ok ? part.iov_len : 0;
  auto done = queue(it.queue)->put_used(request, written);
  disk_->release(it);
  return done;
}

outcome<void> device::answer_finished() {
  while (auto* const it = disk_->collect())
    if (it->lent)
      TRY(proceed(*it)); // A cancellation meant for earlier logic may come late: it begins anew.
  if (!disk_->kick())
    wake();
  notify();
  return {};
}

void device::notify() noexcept {
  for (auto* const it : running_->given.queues)
    if (it != nullptr)
      it->notify();
}

/// What is done is told; on return nothing of ours touches the guest's memory, unless the host's
/// file hangs.
void device::settle() noexcept {
  disk_->drain();
  virtio::guarded(running_->given, "settle", [this]() -> outcome<void> {
    for (auto& it : disk_->slots())
      if (it.where == slot::stage::result && it.lent)
        TRY(publish(it));
    return {};
  });
  notify();
}

void device::pause() noexcept {
  if (!running_)
    return;
  running_->paused = true;
  settle();
}

outcome<void> device::resume(std::shared_ptr<const memory::guest_memory> memory) {
  if (!running_)
    return {};
  running_->given.memory = std::move(memory);
  running_->paused = false;
  take_over();
  wake();
  return {};
}

void device::reset() noexcept {
  if (!running_)
    return;
  running_->given.failed = nullptr; // It is being stopped already.
  running_->given.loop->unwatch(running_->watch);
  settle();
  running_.reset();
}

void device::wake() {
  if (std::exchange(running_->pump_posted, true))
    return;
  running_->given.loop->post("blk", [this, alive = std::weak_ptr{running_->alive}] {
    if (alive.expired())
      return;
    running_->pump_posted = false;
    pump();
  });
}

/// Work that does not begin with a kick: jobs that are done, room for requests that waited for it.
void device::pump() {
  virtio::guarded(running_->given, "serve", [this]() -> outcome<void> {
    if (TRY(unless_broken([this] { return serve_all(); })) == virtio::progress::more)
      wake();
    return {};
  });
}

outcome<virtio::progress> device::serve_all() {
  TRY(answer_finished());
  running_->starved = false;
  auto all = virtio::progress::idle;
  for (std::size_t i = 0; i < sizes_.size(); ++i)
    if (TRY(serve(i)) == virtio::progress::more)
      all = virtio::progress::more;
  return all;
}

} // namespace troupe::blk
