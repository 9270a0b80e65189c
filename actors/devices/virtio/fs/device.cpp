#include "actors/devices/virtio/fs/device.hpp"

#include "actors/sharefs/fuse/credentials.hpp"
#include "actors/sharefs/fuse/server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace troupe::virtio {
namespace {

constexpr std::size_t tag_length = 36;
/// FORGET comes by the first queue, so that it overtakes; all else by the second.
constexpr std::array<std::uint16_t, 2> sizes{fs_queue_size, fs_queue_size};

/// Requests that one call of process() serves before the loop's other work has its turn.
constexpr std::size_t requests_per_turn = 64;
/// Bytes up to which moving them takes no longer than waking another thread.
constexpr std::size_t quick_transfer = 64U << 10;

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
  constexpr std::size_t all_requests = sizes.size() * fs_queue_size;
  threads_ = TRY(devices::blocking_worker::start("fs", options_.threads, all_requests));
  with_ = std::move(with);
  return {};
}

outcome<progress> fs_device::process(std::size_t index) {
  auto* const ring = index < with_.queues.size() ? with_.queues[index] : nullptr;
  if (!ring)
    return progress::idle;
  if (options_.own_loop)
    TRY(this_thread_prepared());
  chain request;
  for (std::size_t budget = requests_per_turn; budget > 0; --budget) {
    if (!TRY(take(*ring, request)))
      return progress::idle;
    TRY(serves_here(request) ? serve(*ring, request) : hand_on(*ring, std::move(request)));
  }
  return progress::more;
}

/// The next request; false when there is none and a kick will tell of the next.
outcome<bool> fs_device::take(queue& from, chain& request) {
  const std::scoped_lock guard{rings_};
  for (;;) {
    if (TRY(from.pop(request)))
      return true;
    if (!from.rearm())
      return false;
  }
}

bool fs_device::serves_here(const chain& request) const {
  return options_.own_loop &&
         request.readable_bytes + request.writable_bytes <= quick_transfer &&
         !fuse::may_take_long(request.readable());
}

outcome<void> fs_device::hand_on(queue& to, chain request) {
  return threads_->submit([this, &to, request = std::move(request)] {
    auto served = this_thread_prepared();
    if (served)
      served = serve(to, request);
    if (!served && with_.failed)
      with_.failed(std::move(served).error());
  });
}

outcome<void> fs_device::serve(queue& from, const chain& request) {
  const auto written =
      request.poisoned() ? fuse::serve_error(request.readable(), request.writable(), EIO)
                         : fuse::serve(*shares_, request.readable(), request.writable());
  counters_.chains.fetch_add(1, std::memory_order_relaxed);
  counters_.bytes.fetch_add(request.readable_bytes + written, std::memory_order_relaxed);
  const std::scoped_lock guard{rings_};
  TRY(from.put_used(request, static_cast<std::uint32_t>(written)));
  from.notify();
  return {};
}

/// On return no thread of ours lives. A request in the host's file system is waited for.
void fs_device::stop_threads() noexcept { threads_.reset(); }

void fs_device::pause() noexcept { stop_threads(); }

outcome<void> fs_device::resume(std::shared_ptr<const memory::guest_memory> memory) {
  auto with = std::move(with_);
  with.memory = std::move(memory);
  return activate(std::move(with));
}

void fs_device::reset() noexcept {
  stop_threads();
  with_ = {};
}

} // namespace troupe::virtio
