#include "actors/devices/virtio/fs/device.hpp"

#include "actors/sharefs/fuse/credentials.hpp"
#include "actors/sharefs/fuse/server.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <exception>
#include <utility>

namespace troupe::virtio {
namespace {

constexpr std::size_t tag_length = 36;
/// FORGET comes by the first queue, so that it overtakes; all else by the second.
constexpr std::array<std::uint16_t, 2> sizes{fs_queue_size, fs_queue_size};

/// Once per thread: a thread that kept its rights must not serve.
const outcome<void>& this_thread_prepared() {
  thread_local const outcome<void> prepared = fuse::prepare_worker_thread();
  return prepared;
}

} // namespace

outcome<std::unique_ptr<fs_device>> fs_device::make(std::shared_ptr<fuse::session> shares,
                                                    fs_options options) {
  if (options.tag.empty() || options.tag.size() > tag_length)
    return fail(errc::invalid_argument, "fs tag \"{}\": not 1 ... {} bytes", options.tag,
                tag_length);
  if (options.threads == 0 || options.threads > fs_threads_max)
    return fail(errc::invalid_argument, "fs threads {}: not 1 ... {}", options.threads,
                fs_threads_max);
  return std::unique_ptr<fs_device>{new fs_device{std::move(shares), std::move(options)}};
}

fs_device::~fs_device() { stop_threads(); }

std::span<const std::uint16_t> fs_device::queue_sizes() const noexcept { return sizes; }

void fs_device::read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept {
  std::array<std::byte, tag_length + 4> space{};
  std::ranges::copy(std::as_bytes(std::span{options_.tag}), space.begin());
  space[tag_length] = std::byte{sizes.size() - 1}; // num_request_queues, little-endian
  copy_config(space, offset, into);
}

outcome<void> fs_device::activate(activation with) {
  threads_ = TRY(devices::blocking_worker::start("fs", options_.threads,
                                                 std::size_t{options_.threads} * sizes.size()));
  with_ = std::move(with);
  served_.assign(with_.queues.size(), {});
  for (std::size_t index = 0; index < served_.size(); ++index)
    served_[index].ring = with_.queues[index];
  stopping_ = false;
  return {};
}

outcome<progress> fs_device::process(std::size_t index) {
  const std::scoped_lock guard{queues_};
  if (index < served_.size() && served_[index].ring)
    TRY(start_pump(index));
  return progress::idle;
}

/// Another thread for the queue, if there is one left. Hold queues_.
outcome<void> fs_device::start_pump(std::size_t index) {
  auto& served = served_[index];
  if (stopping_ || served.pumps == options_.threads)
    return {};
  ++served.pumps;
  auto submitted = threads_->submit([this, index] { pump(index); });
  if (!submitted)
    --served.pumps;
  return submitted;
}

/// Takes the next request; false when this thread is not needed any more. While it serves the one it
/// took, the next one gets another thread: by the kick that is asked for, or now if it is there.
outcome<bool> fs_device::next(std::size_t index, chain& request) {
  const std::scoped_lock guard{queues_};
  auto& served = served_[index];
  while (!stopping_) {
    const auto popped = served.ring->pop(request);
    if (!popped) {
      --served.pumps;
      return tl::unexpected(popped.error());
    }
    const bool more = served.ring->rearm();
    if (*popped && more)
      TRY(start_pump(index));
    if (*popped)
      return true;
    if (!more)
      break;
  }
  --served.pumps;
  return false;
}

std::uint32_t fs_device::serve(const chain& request) {
  counters_.chains.fetch_add(1, std::memory_order_relaxed);
  const auto written =
      request.poisoned() ? fuse::serve_error(request.readable(), request.writable(), EIO)
                         : fuse::serve(*shares_, request.readable(), request.writable());
  counters_.bytes.fetch_add(request.readable_bytes + written, std::memory_order_relaxed);
  return static_cast<std::uint32_t>(written);
}

/// A thread's work on one queue, until there is nothing to do.
void fs_device::pump(std::size_t index) noexcept {
  try {
    if (const auto& prepared = this_thread_prepared(); !prepared)
      return report(prepared.error());
    chain request;
    for (;;) {
      const auto taken = next(index, request);
      if (!taken)
        return report(taken.error());
      if (!*taken)
        return;
      const auto written = serve(request);
      const std::scoped_lock guard{queues_};
      if (auto done = served_[index].ring->put_used(request, written); !done)
        return report(std::move(done).error());
      served_[index].ring->notify();
    }
  } catch (const std::exception& thrown) {
    report({errc::internal, fmt::format("fs queue {}: {}", index, thrown.what())});
  }
}

void fs_device::report(failure why) noexcept {
  counters_.errors.fetch_add(1, std::memory_order_relaxed);
  if (with_.failed)
    with_.failed(std::move(why));
}

/// On return no thread of ours lives. A request in the host's file system is waited for.
void fs_device::stop_threads() noexcept {
  {
    const std::scoped_lock guard{queues_};
    stopping_ = true;
  }
  threads_.reset();
}

void fs_device::pause() noexcept { stop_threads(); }

outcome<void> fs_device::resume(std::shared_ptr<const memory::guest_memory> memory) {
  auto with = std::move(with_);
  with.memory = std::move(memory);
  TRY(activate(std::move(with)));
  for (std::size_t index = 0; index < served_.size(); ++index)
    TRY(process(index));
  return {};
}

void fs_device::reset() noexcept {
  stop_threads();
  served_.clear();
  with_ = {};
}

} // namespace troupe::virtio
