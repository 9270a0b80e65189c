#include "actors/devices/transport/mmio/session.hpp"

#include "actors/devices/transport/mmio/window.hpp"
#include "messages/vocabulary/log.hpp"

#include <sys/eventfd.h>

#include <cerrno>

namespace troupe::mmio {
namespace {

constexpr milliseconds destroy_limit{2000};
constexpr auto notify_offset = static_cast<gpa>(reg::queue_notify);

outcome<std::vector<shared_event>> make_doorbells(std::size_t count) {
  std::vector<shared_event> made;
  while (made.size() < count) {
    unique_fd fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!fd)
      return fail_errno("create a doorbell's eventfd", errno);
    made.push_back(std::make_shared<const unique_fd>(std::move(fd)));
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
  std::unique_ptr<session> it{new session{std::move(made)}};
  TRY(it->connect(machine, how.base));
  return it;
}

session::~session() {
  if (const auto stopped = stop(destroy_limit); !stopped)
    log::error(window_->who(), "{}", stopped.error().text);
}

outcome<void> session::connect(machine_port& machine, gpa base) {
  const auto& rings = window_->rings();
  for (std::uint32_t i = 0; i < rings.count(); ++i) {
    auto made = machine.connect_doorbell(base + notify_offset, i, rings.doorbell_of(i));
    if (!made && made.error().code == errc::unimplemented)
      return {}; // Kicks come by the bus.
    if (!made)
      return within(fmt::format("{}: doorbell {}", window_->who(), i), std::move(made).error());
    doorbells_.push_back(*std::move(made));
  }
  return {};
}

std::shared_ptr<bus::target> session::registers() const noexcept {
  return window_;
}

outcome<void> session::stop(milliseconds limit) {
  window_->close();
  doorbells_.clear();
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
