#include "actors/devices/virtio/blk/disk.hpp"

#include "actors/devices/virtio/blk/request.hpp"
#include "messages/vocabulary/log.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace troupe::blk {

outcome<std::shared_ptr<disk>> disk::make(std::unique_ptr<block_file> file, disk_options options) {
  if (options.serial.size() > wire::id_bytes)
    return fail(errc::invalid_argument, "disk serial: more than {} bytes", wire::id_bytes);
  if (options.threads == 0 || options.threads > threads_max)
    return fail(errc::invalid_argument, "disk threads {}: not 1 ... {}", options.threads,
                threads_max);
  if (options.queues == 0 || options.queues > queues_max)
    return fail(errc::invalid_argument, "disk queues {}: not 1 ... {}", options.queues, queues_max);
  return std::shared_ptr<disk>{new disk{std::move(file), std::move(options)}};
}

outcome<void> disk::open() {
  if (engine_)
    return {};
  slots_.resize(requests_max);
  engine_ = TRY(start_engine());
  return {};
}

outcome<std::unique_ptr<engine>> disk::start_engine() {
  if (options_.engine == engine_kind::io_uring) {
    auto ring = start_uring_engine(*file_, requests_max, options_.threads);
    if (ring || ring.error().code != errc::unimplemented)
      return ring;
    options_.engine = engine_kind::threads;
    log::warn("blk", "{}; threads instead", ring.error().text);
  }
  return start_threads_engine(*file_, options_.threads);
}

bool disk::full() const noexcept {
  return used_ == slots_.size() || bytes_ >= bytes_in_flight_max || orphans_ > 0;
}

slot& disk::spare() noexcept {
  return *std::ranges::find(slots_, slot::stage::free, &slot::where);
}

slot& disk::recognise(slot& fresh) noexcept {
  const auto same = [&](const slot& it) {
    return it.where != slot::stage::free && it.queue == fresh.queue &&
           it.request.head == fresh.request.head;
  };
  // What was popped for the first time is nobody's.
  const auto known = fresh.request.attempts > 1 ? std::ranges::find_if(slots_, same) : slots_.end();
  if (known == slots_.end()) {
    ++used_;
    fresh.where = slot::stage::taken;
    return fresh;
  }
  std::swap(known->request, fresh.request);
  return *known;
}

void disk::keep_only(std::size_t queue, std::span<const std::uint16_t> heads) noexcept {
  for (auto& it : slots_) {
    if (it.where == slot::stage::free || it.queue != queue || it.orphan)
      continue;
    it.lent = false;
    if (std::ranges::find(heads, it.request.head) != heads.end())
      continue;
    if (it.where != slot::stage::executing) {
      release(it);
      continue;
    }
    it.orphan = true;
    ++orphans_;
  }
}

void disk::start(slot& it, std::shared_ptr<const memory::guest_memory> memory) noexcept {
  it.memory = std::move(memory);
  it.where = slot::stage::executing;
  ++executing_;
  for (const auto& part : it.buffers)
    bytes_ += part.iov_len;
  engine_->start(it);
}

// The engine is done with it.
void disk::settle(slot& it) noexcept {
  --executing_;
  for (const auto& part : it.buffers)
    bytes_ -= part.iov_len;
  it.memory.reset();
  it.cancelled = it.error == ECANCELED;
  it.where = it.cancelled ? slot::stage::taken : slot::stage::result;
  it.status = status_of(it.error);
  if (it.error != 0)
    it.data_bytes = 0;
  if (it.error != 0 && !it.cancelled && !std::exchange(complained_, true))
    log::warn("blk", "the host's file fails, errno {}; later failures are only counted", it.error);
  if (!it.orphan)
    return;
  --orphans_;
  release(it);
}

slot* disk::collect() noexcept {
  while (auto* const done = engine_->finished()) {
    auto* const it = static_cast<slot*>(done);
    settle(*it);
    if (it->where != slot::stage::free)
      return it;
  }
  return nullptr;
}

void disk::release(slot& it) noexcept {
  --used_;
  it.where = slot::stage::free;
  it.lent = it.cancelled = it.orphan = false;
}

bool disk::await(milliseconds limit) noexcept {
  const auto until = monotonic_clock::now() + limit;
  while (executing_ > 0) {
    (void)engine_->kick();
    while (collect() != nullptr) {
    }
    const auto left = std::chrono::ceil<milliseconds>(until - monotonic_clock::now()).count();
    if (executing_ == 0 || left <= 0)
      break;
    pollfd ready{event(), POLLIN, 0};
    (void)::poll(&ready, 1, static_cast<int>(left));
    eventfd_t ignored = 0;
    (void)::eventfd_read(event(), &ignored);
  }
  return executing_ == 0;
}

void disk::drain() noexcept {
  if (await(options_.drain_limit))
    return;
  engine_->cancel();
  if (!await(options_.drain_limit))
    log::error("blk", "{} requests hang in the host's file", executing_);
}

} // namespace troupe::blk
