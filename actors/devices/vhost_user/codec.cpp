#include "actors/devices/vhost_user/codec.hpp"

#include <cstring>

namespace troupe::vhost_user {
namespace {

std::uint32_t number(wire::request it) {
  return static_cast<std::uint32_t>(it);
}

template <class T>
T take(std::span<const std::byte> from) {
  T value;
  std::memcpy(&value, from.data(), sizeof(T));
  return value;
}

template <class T>
outcome<T> decode(const message& from) {
  if (from.payload.size() != sizeof(T))
    return fail(errc::peer_fault, "vhost-user request {}: payload of {} bytes, not {}",
                number(from.request), from.payload.size(), sizeof(T));
  return take<T>(from.payload);
}

template <class T>
std::span<const std::byte> view(const T& value) {
  return std::as_bytes(std::span{&value, 1});
}

void append(bytes& to, std::span<const std::byte> what) {
  to.insert(to.end(), what.begin(), what.end());
}

} // namespace

outcome<wire::header> decode_header(std::span<const std::byte> from) {
  if (from.size() != sizeof(wire::header))
    return fail(errc::peer_fault, "vhost-user header of {} bytes", from.size());
  const auto it = take<wire::header>(from);
  if ((it.flags & wire::version_mask) != wire::version || (it.flags & wire::flag_reply) != 0)
    return fail(errc::peer_fault, "vhost-user request {}: flags {:#x}", it.request, it.flags);
  if (it.size > wire::payload_max)
    return fail(errc::peer_fault, "vhost-user request {}: payload of {} bytes", it.request,
                it.size);
  return it;
}

outcome<void> expect_empty(const message& from) {
  if (!from.payload.empty())
    return fail(errc::peer_fault, "vhost-user request {}: payload of {} bytes, not 0",
                number(from.request), from.payload.size());
  return {};
}

outcome<std::uint64_t> decode_number(const message& from) {
  return decode<std::uint64_t>(from);
}

outcome<wire::vring_state> decode_vring_state(const message& from) {
  return decode<wire::vring_state>(from);
}

outcome<wire::vring_address> decode_vring_address(const message& from) {
  return decode<wire::vring_address>(from);
}

outcome<std::vector<wire::memory_region>> decode_memory_table(const message& from) {
  const std::span payload{from.payload};
  constexpr std::size_t prefix = 8; // Count and padding.
  const auto count = payload.size() < prefix ? 0 : take<std::uint32_t>(payload);
  if (count == 0 || count > wire::regions_max || count != from.fds.size() ||
      payload.size() != prefix + count * sizeof(wire::memory_region))
    return fail(errc::peer_fault, "memory table: {} regions in {} bytes with {} descriptors", count,
                payload.size(), from.fds.size());
  std::vector<wire::memory_region> regions(count);
  std::memcpy(regions.data(), payload.data() + prefix, payload.size() - prefix);
  return regions;
}

outcome<vring_fd> decode_vring_fd(message& from) {
  const auto value = TRY(decode_number(from));
  const auto fds = (value & wire::vring_no_fd) != 0 ? 0U : 1U;
  if ((value & ~(wire::vring_index_mask | wire::vring_no_fd)) != 0 || from.fds.size() != fds)
    return fail(errc::peer_fault, "vhost-user request {}: value {:#x} with {} descriptors",
                number(from.request), value, from.fds.size());
  return vring_fd{value & wire::vring_index_mask,
                  fds == 0 ? unique_fd{} : std::move(from.fds.front())};
}

outcome<config_window> decode_config(const message& from) {
  const std::span payload{from.payload};
  if (payload.size() < sizeof(wire::config_header))
    return fail(errc::peer_fault, "configuration window: payload of {} bytes", payload.size());
  const config_window it{take<wire::config_header>(payload),
                         payload.subspan(sizeof(wire::config_header))};
  if (it.header.size != it.data.size() || it.header.offset > wire::config_max ||
      it.header.size > wire::config_max - it.header.offset)
    return fail(errc::peer_fault, "configuration window: {} bytes at {} with {} bytes of data",
                it.header.size, it.header.offset, it.data.size());
  return it;
}

bytes encode_reply(wire::request to, std::span<const std::byte> payload) {
  const wire::header head{number(to), wire::version | wire::flag_reply,
                          static_cast<std::uint32_t>(payload.size())};
  bytes frame;
  frame.reserve(sizeof(head) + payload.size());
  append(frame, view(head));
  append(frame, payload);
  return frame;
}

bytes encode_number(wire::request to, std::uint64_t value) {
  return encode_reply(to, view(value));
}

bytes encode_vring_state(wire::request to, wire::vring_state state) {
  return encode_reply(to, view(state));
}

bytes encode_config(wire::config_header header, std::span<const std::byte> data) {
  bytes payload;
  append(payload, view(header));
  append(payload, data);
  return encode_reply(wire::request::get_config, payload);
}

} // namespace troupe::vhost_user
