#include "actors/devices/vhost_user/session.hpp"

#include "actors/devices/unix_socket.hpp"
#include "actors/devices/vhost_user/backend.hpp"
#include "actors/devices/vhost_user/channel.hpp"
#include "messages/vocabulary/log.hpp"

#include <sys/epoll.h>

#include <utility>

namespace troupe::vhost_user {
namespace {

// Messages handled per wake-up, so that a chatty front-end cannot starve the worker's other
// devices.
constexpr int messages_per_turn = 32;

constexpr milliseconds destroy_limit{2000};

} // namespace

// Lives on the worker's thread; the session is its handle. Posted work keeps it alive.
class session::core : public std::enable_shared_from_this<core> {
public:
  core(unique_fd listener, std::unique_ptr<virtio::device> device, devices::worker& loop,
       observer tell)
      : loop_(loop), tell_(std::move(tell)), who_(fmt::format("vhost-user/{}", device->name())),
        listener_(std::move(listener)),
        backend_(std::move(device), loop,
                 {.activated = [this] { tell_(session_event::activated, std::nullopt); },
                  .failed = [this](failure why) { tell_(session_event::failed, why); }}) {}

  devices::worker& loop() noexcept { return loop_; }
  const std::string& who() const noexcept { return who_; }
  class backend& backend() noexcept {
    return backend_;
  }

  outcome<void> watch_listener() {
    listener_watch_ =
        TRY(loop_.watch(who_, listener_.get(), EPOLLIN, [this](std::uint32_t) { accept(); }));
    return {};
  }

  void stop() {
    if (channel_)
      hang_up(std::nullopt);
    backend_.host().deactivate();
    loop_.unwatch(listener_watch_);
    listener_.reset();
  }

  session_stats stats() {
    const auto& device = backend_.host().device().counters();
    return {messages_, backend_.host().kicks(), device.chains, device.bytes, device.errors};
  }

private:
  void accept() {
    auto client = devices::accept_unix(listener_.get());
    if (!client)
      return log::warn(who_, "{}", client.error().text);
    if (!*client)
      return;
    const auto fd = client->get();
    channel_.emplace(*std::move(client));
    auto id = loop_.watch(who_, fd, EPOLLIN, [this](std::uint32_t) { converse(); });
    if (!id) {
      channel_.reset();
      return log::error(who_, "{}", id.error().text);
    }
    channel_watch_ = *id;
    // The next front-end stays in the backlog while this one is served.
    (void)loop_.rewatch(listener_watch_, 0);
    tell_(session_event::connected, std::nullopt);
  }

  void converse() {
    for (int i = 0; i < messages_per_turn; ++i) {
      const auto more = one_message();
      if (!more)
        return hang_up(more.error());
      if (!*more)
        return;
    }
  }

  // False when no whole message is there.
  outcome<bool> one_message() {
    auto received = TRY(channel_->receive());
    if (!received)
      return false;
    ++messages_;
    const auto reply = TRY(backend_.handle(*std::move(received)));
    if (reply)
      TRY(channel_->send(*reply));
    return true;
  }

  void hang_up(const std::optional<failure>& why) {
    loop_.unwatch(channel_watch_);
    channel_.reset();
    backend_.disconnected();
    (void)loop_.rewatch(listener_watch_, EPOLLIN);
    tell_(session_event::disconnected, why);
  }

  devices::worker& loop_;
  observer tell_;
  std::string who_;
  unique_fd listener_;
  devices::worker::watch_id listener_watch_ = 0;
  std::optional<channel> channel_;
  devices::worker::watch_id channel_watch_ = 0;
  std::uint64_t messages_ = 0;
  class backend backend_;
};

outcome<std::unique_ptr<session>> session::start(unique_fd listener,
                                                 std::unique_ptr<virtio::device> device,
                                                 devices::worker& loop, observer tell) {
  auto it = std::make_shared<core>(std::move(listener), std::move(device), loop, std::move(tell));
  const auto watched = std::make_shared<outcome<void>>();
  TRY(loop.run(
      it->who(), [it, watched] { *watched = it->watch_listener(); }, destroy_limit));
  TRY(*watched);
  return std::unique_ptr<session>{new session{std::move(it)}};
}

session::~session() {
  if (const auto stopped = stop(destroy_limit); !stopped)
    log::error(core_->who(), "{}", stopped.error().text);
}

outcome<void> session::stop(milliseconds limit) {
  return core_->loop().run(
      core_->who() + ": stop", [it = core_] { it->stop(); }, limit);
}

outcome<void> session::replace_device(std::unique_ptr<virtio::device> next, milliseconds limit) {
  // std::function wants copies, hence the shared box.
  const auto box = std::make_shared<std::unique_ptr<virtio::device>>(std::move(next));
  return core_->loop().run(
      core_->who() + ": replace device",
      [it = core_, box] { it->backend().host().replace(std::move(*box)); }, limit);
}

outcome<virtio::device_state> session::state(milliseconds limit) const {
  const auto box = std::make_shared<virtio::device_state>();
  TRY(core_->loop().run(
      core_->who() + ": state", [it = core_, box] { *box = it->backend().host().state(); }, limit));
  return std::move(*box);
}

outcome<session_stats> session::stats(milliseconds limit) const {
  const auto box = std::make_shared<session_stats>();
  TRY(core_->loop().run(
      core_->who() + ": stats", [it = core_, box] { *box = it->stats(); }, limit));
  return *box;
}

} // namespace troupe::vhost_user
