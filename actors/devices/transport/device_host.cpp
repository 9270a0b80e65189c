#include "actors/devices/transport/device_host.hpp"

#include "messages/vocabulary/log.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <exception>

namespace troupe::transport {
namespace {

bool lied(const failure& why) {
  return why.code == errc::guest_fault || why.code == errc::peer_fault;
}

// The boundary around a call into the device: what it throws becomes a failure.
template <class Call>
outcome<void> guarded(const Call& call) noexcept {
  try {
    return call();
  } catch (const std::exception& error) {
    return fail(errc::internal, "exception: {}", error.what());
  } catch (...) {
    return fail(errc::internal, "exception of unknown type");
  }
}

} // namespace

device_host::device_host(std::string_view who, ring_set& rings,
                         std::unique_ptr<virtio::device> device, devices::worker& loop,
                         hooks notify)
    : rings_(rings), loop_(loop), notify_(std::move(notify)),
      who_(std::string{who}.append("/").append(device->name())), device_(std::move(device)) {}

failure device_host::named(const char* stage, const failure& why) const {
  return {why.code, fmt::format("{}: {}: {}", who_, stage, why.text), why.os_error};
}

void device_host::stop_because(failure why, condition then) noexcept {
  deactivate();
  condition_ = then;
  generation_ = rings_.generation();
  log::error(who_, "device stopped: {}", why.text);
  rings_.stopped(then == condition::refused);
  notify_.failed(std::move(why));
}

void device_host::fail_device(failure why) noexcept {
  const auto then = lied(why) ? condition::refused : condition::crashed;
  stop_because(std::move(why), then);
}

void device_host::reconcile() {
  const auto runnable = rings_.runnable();
  const auto changed = generation_ != rings_.generation();
  if (condition_ != condition::idle && (!runnable || changed))
    deactivate();
  if (condition_ != condition::idle || !runnable || paused_)
    return;
  starts_left_ = 1; // The driver waits for the answer.
  activate();
}

virtio::activation device_host::lend() {
  virtio::activation with;
  with.features = rings_.features();
  with.memory = rings_.memory();
  for (std::size_t i = 0; i < rings_.count(); ++i)
    with.queues.push_back(rings_.queue_of(i));
  with.loop = &loop_;
  with.failed = [this, epoch = std::weak_ptr{epoch_}](failure why) {
    loop_.post(who_, [this, epoch, why = std::move(why)] {
      if (!epoch.expired())
        fail_device(why);
    });
  };
  with.change_config = [this](const std::function<void()>& change) { change_config(change); };
  return with;
}

void device_host::activate() {
  generation_ = rings_.generation();
  epoch_ = std::make_shared<const bool>(true);
  const auto started = guarded([&]() -> outcome<void> {
    TRY(rings_.attach_queues());
    auto with = lend();
    condition_ = condition::active;
    return device_->activate(std::move(with));
  });
  if (!started) {
    const auto last = lied(started.error()) || --starts_left_ <= 0;
    return stop_because(named("activate", started.error()),
                        last ? condition::refused : condition::crashed);
  }
  starts_left_ = start_attempts;
  watch_kicks();
  if (condition_ != condition::active)
    return;
  notify_.activated();
  process_all(); // Kicks that came before are not repeated.
}

void device_host::watch_kicks() {
  std::vector<int> watched;
  for (std::size_t i = 0; i < rings_.count(); ++i) {
    const auto fd = rings_.kick_of(i);
    if (fd < 0 || std::ranges::find(watched, fd) != watched.end())
      continue;
    auto id = loop_.watch(who_, fd, EPOLLIN, [this, fd](std::uint32_t) { kicked(fd); });
    if (!id)
      return fail_device(named("watch kicks", id.error()));
    watched.push_back(fd);
    watches_.push_back(*id);
  }
}

void device_host::kicked(int fd) {
  eventfd_t ignored = 0;
  (void)::eventfd_read(fd, &ignored);
  ++kicks_;
  for (std::size_t i = 0; i < rings_.count(); ++i)
    if (rings_.kick_of(i) == fd)
      process(i);
}

void device_host::process_all() {
  for (std::size_t i = 0; i < rings_.count(); ++i)
    if (rings_.queue_of(i) != nullptr)
      process(i);
}

void device_host::process(std::size_t index) {
  if (condition_ != condition::active || paused_)
    return;
  auto left = virtio::progress::idle;
  const auto done = guarded([&]() -> outcome<void> {
    left = TRY(device_->process(index));
    return {};
  });
  if (!done)
    return fail_device(named("process", done.error()));
  if (left == virtio::progress::more)
    loop_.post(who_, [this, index, epoch = std::weak_ptr{epoch_}] {
      if (!epoch.expired())
        process(index);
    });
}

void device_host::deactivate() noexcept {
  for (const auto id : watches_)
    loop_.unwatch(id);
  watches_.clear();
  epoch_.reset();
  if (condition_ == condition::active)
    device_->reset();
  condition_ = condition::idle;
}

void device_host::pause() noexcept {
  if (!std::exchange(paused_, true) && condition_ == condition::active)
    device_->pause();
}

void device_host::resume() {
  paused_ = false;
  if (condition_ != condition::active)
    return reconcile();
  const auto resumed = guarded([&]() -> outcome<void> {
    for (std::size_t i = 0; i < rings_.count(); ++i)
      if (auto* const ring = rings_.queue_of(i))
        TRY(ring->rebind(rings_.memory()));
    return device_->resume(rings_.memory());
  });
  if (!resumed)
    return fail_device(named("resume", resumed.error()));
  process_all();
}

void device_host::replace(std::unique_ptr<virtio::device> next) {
  const auto refused = condition_ == condition::refused;
  deactivate();
  {
    const std::lock_guard guard{config_};
    ++config_generation_;
    device_.swap(next);
  }
  if (refused) {
    condition_ = condition::refused;
    return;
  }
  for (std::size_t i = 0; i < rings_.count(); ++i)
    if (auto* const ring = rings_.queue_of(i))
      ring->requeue_taken();
  if (rings_.runnable() && !paused_)
    activate();
}

void device_host::read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept {
  const std::lock_guard guard{config_};
  device_->read_config(offset, into);
}

std::uint32_t device_host::config_generation() const noexcept {
  const std::lock_guard guard{config_};
  return config_generation_;
}

outcome<void> device_host::write_config(std::uint32_t offset,
                                        std::span<const std::byte> from) noexcept {
  auto done = guarded([&] { return device_->write_config(offset, from); });
  if (!done && !lied(done.error()))
    fail_device(named("write of configuration", done.error()));
  return done;
}

void device_host::change_config(const std::function<void()>& change) {
  {
    const std::lock_guard guard{config_};
    ++config_generation_;
    change();
  }
  rings_.config_changed();
}

virtio::device_state device_host::state() {
  virtio::device_state it;
  it.type = device_->type();
  it.features = rings_.features();
  for (std::size_t i = 0; i < rings_.count(); ++i) {
    const auto* const ring = rings_.queue_of(i);
    it.queues.push_back(ring != nullptr ? ring->state() : virtio::queue_state{});
  }
  return it;
}

} // namespace troupe::transport
