#pragma once

#include "actors/devices/virtio/device.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <memory>

namespace troupe::transport {

/// A device in a guest's reach, whatever the transport: what its control actor needs of a session.
/// Any thread but the worker's.
class link {
public:
  virtual ~link() = default;

  /// Takes the device out of the guest's reach. deadline_exceeded: the worker hangs in the device.
  [[nodiscard]] virtual outcome<void> stop(milliseconds limit) = 0;
  /// Puts new logic over the same queues, in the middle of traffic.
  [[nodiscard]] virtual outcome<void> replace_device(std::unique_ptr<virtio::device> next,
                                                     milliseconds limit) = 0;
};

/// A session of either transport, and what it must not outlive.
template <class Session>
class link_of final : public link {
public:
  explicit link_of(std::shared_ptr<Session> session, std::shared_ptr<const void> keeper = {})
      : keeper_(std::move(keeper)), session_(std::move(session)) {}

  [[nodiscard]] outcome<void> stop(milliseconds limit) override { return session_->stop(limit); }
  [[nodiscard]] outcome<void> replace_device(std::unique_ptr<virtio::device> next,
                                             milliseconds limit) override {
    return session_->replace_device(std::move(next), limit);
  }

private:
  std::shared_ptr<const void> keeper_;
  std::shared_ptr<Session> session_; // Goes first.
};

} // namespace troupe::transport
