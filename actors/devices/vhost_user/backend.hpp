#pragma once

#include "actors/devices/transport/device_host.hpp"
#include "actors/devices/vhost_user/codec.hpp"
#include "actors/devices/vhost_user/ledger.hpp"

#include <memory>
#include <optional>

namespace troupe::vhost_user {

/// One front-end's conversation without its socket: a request in, the reply out, and the device
/// started and stopped as the requests say. All calls on the worker's thread.
class backend {
public:
  backend(std::unique_ptr<virtio::device> device, devices::worker& loop,
          transport::device_host::hooks notify);

  /// The bytes to send back, if any. A failure without a reply to carry it means the conversation
  /// is beyond repair: hang up.
  [[nodiscard]] outcome<std::optional<bytes>> handle(message it);

  /// The front-end is gone: stops the device and forgets everything it had told.
  void disconnected();

  [[nodiscard]] transport::device_host& host() noexcept { return host_; }
  [[nodiscard]] const ledger& rings() const noexcept { return ledger_; }

private:
  [[nodiscard]] outcome<std::optional<bytes>> query(const message& it);
  [[nodiscard]] outcome<void> command(message& it);
  [[nodiscard]] outcome<void> ring_command(message& it);
  [[nodiscard]] outcome<void> set_memory(message& it);
  [[nodiscard]] outcome<void> set_protocol_features(const message& it);
  [[nodiscard]] outcome<void> reset(const message& it);
  [[nodiscard]] outcome<bytes> get_vring_base(const message& it);
  [[nodiscard]] outcome<bytes> get_config(const message& it);
  [[nodiscard]] outcome<void> set_config(const message& it);

  std::uint64_t offered_;
  ledger ledger_;
  transport::device_host host_;
  std::uint64_t protocol_features_ = 0;
};

} // namespace troupe::vhost_user
