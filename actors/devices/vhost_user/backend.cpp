#include "actors/devices/vhost_user/backend.hpp"

namespace troupe::vhost_user {
namespace {

using wire::request;

constexpr std::uint64_t offered_protocol = wire::protocol_mq | wire::protocol_reply_ack |
                                           wire::protocol_config | wire::protocol_reset_device;

std::uint64_t offer(const virtio::device& device) {
  return device.features() | virtio::ring_features | wire::feature_protocol;
}

bool has_own_reply(request it) {
  return it == request::get_features || it == request::get_protocol_features ||
         it == request::get_queue_num || it == request::get_vring_base || it == request::get_config;
}

} // namespace

backend::backend(std::unique_ptr<virtio::device> device, devices::worker& loop,
                 transport::device_host::hooks notify)
    : offered_(offer(*device)), ledger_(device->queue_sizes(), offered_),
      host_("vhost-user", ledger_, std::move(device), loop, std::move(notify)) {}

outcome<std::optional<bytes>> backend::handle(message it) {
  if (has_own_reply(it.request))
    return query(it);
  auto done = command(it);
  host_.reconcile();
  const auto acknowledge = it.need_reply && (protocol_features_ & wire::protocol_reply_ack) != 0;
  if (acknowledge)
    return encode_number(it.request, done ? 0 : 1);
  if (!done)
    return tl::unexpected(std::move(done).error());
  return std::nullopt;
}

outcome<std::optional<bytes>> backend::query(const message& it) {
  if (it.request == request::get_vring_base)
    return TRY(get_vring_base(it));
  if (it.request == request::get_config)
    return TRY(get_config(it));
  TRY(expect_empty(it));
  if (it.request == request::get_features)
    return encode_number(it.request, offered_);
  if (it.request == request::get_protocol_features)
    return encode_number(it.request, offered_protocol);
  return encode_number(it.request, ledger_.count());
}

outcome<void> backend::command(message& it) {
  switch (it.request) {
  case request::set_features:
    return ledger_.set_features(TRY(decode_number(it)));
  case request::set_protocol_features:
    return set_protocol_features(it);
  case request::set_owner:
    return expect_empty(it);
  case request::reset_owner:
  case request::reset_device:
    return reset(it);
  case request::set_mem_table:
    return set_memory(it);
  case request::set_config:
    return set_config(it);
  default:
    return ring_command(it);
  }
}

outcome<void> backend::ring_command(message& it) {
  switch (it.request) {
  case request::set_vring_num:
    return ledger_.set_size(TRY(decode_vring_state(it)));
  case request::set_vring_addr:
    return ledger_.set_address(TRY(decode_vring_address(it)));
  case request::set_vring_base:
    return ledger_.set_base(TRY(decode_vring_state(it)));
  case request::set_vring_enable:
    return ledger_.set_enabled(TRY(decode_vring_state(it)));
  case request::set_vring_kick:
    host_.deactivate(); // It watches the descriptor that is about to be closed.
    return ledger_.set_kick(TRY(decode_vring_fd(it)));
  case request::set_vring_call:
    return ledger_.set_call(TRY(decode_vring_fd(it)));
  case request::set_vring_err:
    return ledger_.set_error(TRY(decode_vring_fd(it)));
  default:
    return fail(errc::peer_fault, "vhost-user request {}: unknown",
                static_cast<std::uint32_t>(it.request));
  }
}

outcome<void> backend::set_protocol_features(const message& it) {
  const auto asked = TRY(decode_number(it));
  if ((asked & ~offered_protocol) != 0)
    return fail(errc::peer_fault, "protocol features {:#x}: only {:#x} are offered", asked,
                offered_protocol);
  protocol_features_ = asked;
  return {};
}

outcome<void> backend::set_memory(message& it) {
  const auto regions = TRY(decode_memory_table(it));
  host_.pause();
  auto done = ledger_.set_memory(regions, std::move(it.fds));
  host_.resume();
  return done;
}

outcome<void> backend::reset(const message& it) {
  TRY(expect_empty(it));
  host_.deactivate();
  ledger_.stop_all();
  return {};
}

outcome<bytes> backend::get_vring_base(const message& it) {
  const auto which = TRY(decode_vring_state(it));
  host_.deactivate(); // Before the kick's descriptor closes.
  TRY(ledger_.stop(which.index));
  return encode_vring_state(it.request, {which.index, ledger_.base_of(which.index)});
}

outcome<bytes> backend::get_config(const message& it) {
  const auto window = TRY(decode_config(it));
  std::vector<std::byte> data(window.header.size);
  host_.read_config(window.header.offset, data);
  return encode_config(window.header, data);
}

outcome<void> backend::set_config(const message& it) {
  const auto window = TRY(decode_config(it));
  return host_.write_config(window.header.offset, window.data);
}

void backend::disconnected() {
  host_.deactivate();
  ledger_ = ledger{host_.device().queue_sizes(), offered_};
  protocol_features_ = 0;
}

} // namespace troupe::vhost_user
