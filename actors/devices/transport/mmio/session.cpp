#include "actors/devices/transport/mmio/session.hpp"

#include "actors/devices/transport/mmio/window.hpp"
#include "messages/vocabulary/log.hpp"

#include <sys/eventfd.h>

#include <cerrno>

namespace troupe::mmio {
namespace {

constexpr milliseconds destroy_limit{2000};
constexpr auto notify_offset = static_cast<gpa>(reg::queue_notify);

outcome<std::vector<unique_fd>> make_doorbells(std::size_t count) {
  std::vector<unique_fd> made;
  while (made.size() < count) {
    made.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!made.back())
      return fail_errno("create a doorbell's eventfd", errno);
  }
  return made;
}

} // namespace

outcome<std::unique_ptr<session>> session::start(std::unique_ptr<virtio::device> device,
                                                 std::shared_ptr<const memory::guest_memory> ram,
                                                 devices::worker& loop, machine_port& machine,
                                                 session_options how,
                                                 transport::device_host::hooks tell) {
  const auto queues = device->queue_sizes().size();
  if (queues == 0)
    return fail(errc::invalid_argument, "{}: no queues", device->name());
  window_parts parts;
  parts.doorbells = TRY(make_doorbells(how.bells == doorbells::shared ? 1 : queues));
  parts.interrupt = TRY(machine.interrupt(how.gsi));
  parts.ram = std::move(ram);
  parts.patience = how.patience;
  parts.tell = std::move(tell);
  auto made = std::make_shared<window>(std::move(device), loop, std::move(parts));
  std::unique_ptr<session> it{new session{std::move(made), machine, how.base}};
  TRY(it->connect());
  return it;
}

session::~session() {
  if (const auto stopped = stop(destroy_limit); !stopped)
    log::error(window_->who(), "{}", stopped.error().text);
}

outcome<void> session::connect() {
  const auto& rings = window_->rings();
  for (std::uint32_t i = 0; i < rings.count(); ++i) {
    auto done = machine_.connect_doorbell(base_ + notify_offset, i, rings.doorbell_of(i));
    if (!done && done.error().code == errc::unimplemented)
      return {}; // Kicks come by the bus.
    if (!done)
      return within(fmt::format("{}: doorbell {}", window_->who(), i), std::move(done).error());
    connected_ = i + 1;
  }
  return {};
}

void session::disconnect() noexcept {
  for (; connected_ > 0; --connected_)
    machine_.disconnect_doorbell(base_ + notify_offset, connected_ - 1,
                                 window_->rings().doorbell_of(connected_ - 1));
}

std::shared_ptr<bus::target> session::registers() const noexcept {
  return window_;
}

outcome<void> session::stop(milliseconds limit) {
  window_->close();
  disconnect();
  return window_->loop().run(
      window_->who() + ": stop", [it = window_] { it->rest(); }, limit);
}

outcome<void> session::replace_device(std::unique_ptr<virtio::device> next, milliseconds limit) {
  // std::function wants copies, hence the shared box.
  const auto box = std::make_shared<std::unique_ptr<virtio::device>>(std::move(next));
  return window_->loop().run(
      window_->who() + ": replace device",
      [it = window_, box] { it->host().replace(std::move(*box)); }, limit);
}

outcome<void> session::pause(milliseconds limit) {
  return window_->loop().run(
      window_->who() + ": pause", [it = window_] { it->host().pause(); }, limit);
}

outcome<void> session::resume(milliseconds limit) {
  return window_->loop().run(
      window_->who() + ": resume", [it = window_] { it->host().resume(); }, limit);
}

outcome<void> session::remap(std::shared_ptr<const memory::guest_memory> ram, milliseconds limit) {
  window_->use(ram);
  return window_->loop().run(
      window_->who() + ": remap", [it = window_, ram] { it->remap(ram); }, limit);
}

outcome<virtio::device_state> session::state(milliseconds limit) const {
  const auto box = std::make_shared<virtio::device_state>();
  TRY(window_->loop().run(
      window_->who() + ": state", [it = window_, box] { *box = it->host().state(); }, limit));
  return std::move(*box);
}

outcome<session_stats> session::stats(milliseconds limit) const {
  const auto box = std::make_shared<session_stats>();
  box->register_kicks = window_->register_kicks();
  box->resets = window_->resets();
  box->refused = window_->refused();
  box->overdue = window_->overdue();
  TRY(window_->loop().run(
      window_->who() + ": stats",
      [it = window_, box] {
        const auto& device = it->host().device().counters();
        box->kicks = it->host().kicks();
        box->chains = device.chains;
        box->bytes = device.bytes;
        box->errors = device.errors;
      },
      limit));
  return *box;
}

} // namespace troupe::mmio
