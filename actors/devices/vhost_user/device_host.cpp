#include "actors/devices/vhost_user/device_host.hpp"

#include "messages/vocabulary/log.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <exception>
#include <optional>

namespace troupe::vhost_user {

device_host::device_host(ledger& rings, std::unique_ptr<virtio::device> device,
                         devices::worker& loop, hooks notify)
    : ledger_(rings), device_(std::move(device)), loop_(loop), notify_(std::move(notify)),
      who_(fmt::format("vhost-user/{}", device_->name())) {}

// Runs a call into the device. False when it failed: the device is stopped then.
template <class Call>
bool device_host::guarded(const char* stage, const Call& call) noexcept {
  const auto why = [&]() -> std::optional<failure> {
    try {
      outcome<void> result = call();
      return result ? std::nullopt : std::optional{std::move(result).error()};
    } catch (const std::exception& error) {
      return failure{errc::internal, fmt::format("exception: {}", error.what()), 0};
    } catch (...) {
      return failure{errc::internal, "exception of unknown type", 0};
    }
  }();
  if (why)
    fail_device({why->code, fmt::format("{}: {}: {}", who_, stage, why->text), why->os_error});
  return !why;
}

void device_host::fail_device(failure why) noexcept {
  deactivate();
  const auto lied = why.code == errc::guest_fault || why.code == errc::peer_fault;
  condition_ = lied ? condition::refused : condition::crashed;
  generation_ = ledger_.generation();
  log::error(who_, "device stopped: {}", why.text);
  for (auto& it : ledger_.rings())
    if (it.started())
      it.error.raise();
  notify_.failed(std::move(why));
}

void device_host::reconcile() {
  const auto runnable = ledger_.runnable();
  const auto changed = generation_ != ledger_.generation();
  if (condition_ != condition::idle && (!runnable || changed))
    deactivate();
  if (condition_ == condition::idle && runnable)
    activate();
}

void device_host::activate() {
  generation_ = ledger_.generation();
  epoch_ = std::make_shared<const bool>(true);
  const auto started = guarded("activate", [&]() -> outcome<void> {
    TRY(ledger_.attach_queues());
    virtio::activation with;
    with.features = ledger_.features();
    with.memory = ledger_.memory();
    for (const auto& it : ledger_.rings())
      with.queues.push_back(it.started() ? it.queue.get() : nullptr);
    with.loop = &loop_;
    with.failed = [this, epoch = std::weak_ptr{epoch_}](failure why) {
      loop_.post(who_, [this, epoch, why = std::move(why)] {
        if (!epoch.expired())
          fail_device(why);
      });
    };
    condition_ = condition::active;
    return device_->activate(std::move(with));
  });
  if (!started)
    return;
  watch_kicks();
  if (condition_ != condition::active)
    return;
  notify_.activated();
  process_all(); // Kicks that came before are not repeated.
}

void device_host::watch_kicks() {
  for (std::size_t i = 0; i < ledger_.rings().size(); ++i) {
    const auto fd = ledger_.rings()[i].kick.get();
    if (fd < 0)
      continue;
    auto id = loop_.watch(who_, fd, EPOLLIN, [this, i, fd](std::uint32_t) {
      eventfd_t ignored = 0;
      (void)::eventfd_read(fd, &ignored);
      ++kicks_;
      process(i);
    });
    if (!id)
      return fail_device(std::move(id).error());
    watches_.push_back(*id);
  }
}

void device_host::process_all() {
  for (std::size_t i = 0; i < ledger_.rings().size() && condition_ == condition::active; ++i)
    if (ledger_.rings()[i].started())
      process(i);
}

void device_host::process(std::size_t index) {
  if (condition_ != condition::active)
    return;
  auto left = virtio::progress::idle;
  guarded("process", [&]() -> outcome<void> {
    left = TRY(device_->process(index));
    return {};
  });
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
  if (condition_ == condition::active)
    device_->pause();
}

void device_host::resume() {
  if (condition_ != condition::active)
    return;
  const auto resumed = guarded("resume", [&]() -> outcome<void> {
    for (auto& it : ledger_.rings())
      if (it.queue)
        TRY(it.queue->rebind(ledger_.memory()));
    return device_->resume(ledger_.memory());
  });
  if (resumed)
    process_all();
}

void device_host::replace(std::unique_ptr<virtio::device> next) {
  const auto refused = condition_ == condition::refused;
  deactivate();
  device_ = std::move(next);
  if (refused) {
    condition_ = condition::refused;
    return;
  }
  for (auto& it : ledger_.rings())
    if (it.queue)
      it.queue->requeue_taken();
  reconcile();
}

} // namespace troupe::vhost_user
