#include "messages/ttrpc/connection.hpp"

#include "messages/vocabulary/log.hpp"

#include <asio/bind_executor.hpp>

#include <algorithm>
#include <exception>

namespace troupe::ttrpc {
namespace {

/// A peer may state any 63-bit number of nanoseconds; later than this is no deadline but an
/// overflow.
constexpr std::chrono::nanoseconds longest_timeout = std::chrono::hours{24 * 365};

outcome<const handler*> find_method(const method_table& methods, const call_request& call) {
  const auto service = methods.find(call.service);
  if (service == methods.end())
    return fail(errc::unimplemented, "service {} is not served here", call.service);
  const auto method = service->second.find(call.method);
  if (method == service->second.end())
    return fail(errc::unimplemented, "service {} has no method {}", call.service, call.method);
  return &method->second;
}

} // namespace

void connection::on_frame(frame received) {
  const auto owner = owner_.lock();
  if (!owner)
    return;
  const bool known =
      received.header.is(frame_type::request) || received.header.is(frame_type::data);
  if (!known)
    return; // As the other servers do: a frame type of a later protocol is skipped.
  auto taken = check(*owner, received);
  if (taken)
    taken = dispatch(*owner, received);
  if (!taken)
    respond(received.header.stream, failed{std::move(taken).error()});
}

outcome<void> connection::check(const connection_owner& owner, const frame& received) const {
  const auto& header = received.header;
  const auto& options = owner.options();
  if (header.stream % 2 == 0)
    return fail(errc::invalid_argument, "stream id {}: a client's are odd", header.stream);
  if (header.is(frame_type::data))
    return fail(errc::invalid_argument, "stream {}: data frame, but no stream is open",
                header.stream);
  if ((header.flags & flag_remote_open) != 0)
    return fail(errc::invalid_argument, "stream {}: streaming calls are not served", header.stream);
  if (in_flight_.contains(header.stream))
    return fail(errc::invalid_argument, "stream {}: a call is in flight on it", header.stream);
  if (finishing_ || owner.stopping())
    return fail(errc::restarting, "{} is stopping", options.name);
  if (in_flight_.size() >= options.max_in_flight)
    return fail(errc::resource_exhausted, "{} calls are in flight on this connection",
                in_flight_.size());
  if (in_flight_bytes_ + received.body.size() > options.max_in_flight_bytes)
    return fail(errc::resource_exhausted, "{} bytes of requests are in flight on this connection",
                in_flight_bytes_);
  return {};
}

outcome<void> connection::dispatch(const connection_owner& owner, const frame& received) {
  auto call = TRY(decode_request(received.body));
  const auto* handle = TRY(find_method(owner.methods(), call));
  if (call.timeout < std::chrono::nanoseconds{0})
    return fail(errc::deadline_exceeded, "{}: its time was up before it came", call.method);
  const auto stream = received.header.stream;
  auto& entry = in_flight_
                    .try_emplace(stream, in_flight{++last_serial_, received.body.size(),
                                                   asio::steady_timer{where()}})
                    .first->second;
  in_flight_bytes_ += entry.bytes;
  const auto deadline = arm(entry, stream, call.timeout);
  request arrived{.service = std::move(call.service),
                  .method = std::move(call.method),
                  .payload = std::move(call.payload),
                  .metadata = std::move(call.metadata),
                  .deadline = deadline,
                  .connection = id_,
                  .peer = peer_};
  run(*handle, std::move(arrived), stream, entry.serial);
  return {};
}

time_point connection::arm(in_flight& entry, std::uint32_t stream,
                           std::chrono::nanoseconds timeout) {
  if (timeout == std::chrono::nanoseconds{0})
    return time_point::max();
  entry.deadline.expires_after(std::min(timeout, longest_timeout));
  const auto expired = [self = self(), stream, serial = entry.serial](const asio::error_code& e) {
    if (!e)
      self->answer(stream, serial,
                   fail(errc::deadline_exceeded, "the call's deadline passed before its answer"));
  };
  entry.deadline.async_wait(asio::bind_executor(where(), expired));
  return entry.deadline.expiry();
}

void connection::run(const handler& handle, request call, std::uint32_t stream,
                     std::uint64_t serial) {
  const auto what = call.service + "/" + call.method;
  try {
    handle(std::move(call), reply{self(), stream, serial});
  } catch (const std::exception& e) {
    answer(stream, serial, fail(errc::internal, "{}: unexpected: {}", what, e.what()));
  } catch (...) {
    answer(stream, serial, fail(errc::internal, "{}: unexpected exception", what));
  }
}

void connection::answer(std::uint32_t stream, std::uint64_t serial, outcome<std::string> what) {
  const auto at = in_flight_.find(stream);
  if (at == in_flight_.end() || at->second.serial != serial)
    return; // Its deadline passed, or the peer left.
  in_flight_bytes_ -= at->second.bytes;
  in_flight_.erase(at);
  respond(stream, what);
}

void connection::respond(std::uint32_t stream, const outcome<std::string>& what) {
  auto body = encode_response(what);
  if (body.size() > max_body)
    body =
        encode_response(fail(errc::resource_exhausted, "answer of {} bytes, at most {} can be sent",
                             body.size(), max_body));
  const auto owner = owner_.lock();
  if (!owner)
    return;
  if (unsent() + body.size() > owner->options().max_unsent_bytes) {
    log::warn(owner->options().name, "connection {}: closed: it does not read its answers", id_);
    return shut();
  }
  send(stream, frame_type::response, body);
}

void connection::on_oversize(const frame_header& header) {
  respond(header.stream, fail(errc::resource_exhausted, "frame of {} bytes, at most {} are taken",
                              header.length, max_body));
}

void connection::on_end(const std::string&, bool writable) {
  const auto owner = owner_.lock();
  if (!writable || !owner)
    return shut();
  finish();
  if (closed())
    return;
  grace_.expires_after(owner->options().half_close_grace);
  grace_.async_wait(asio::bind_executor(where(), [self = self()](const asio::error_code& error) {
    if (!error)
      self->shut();
  }));
}

void connection::finish() {
  finishing_ = true;
  shut_if_done();
}

void connection::shut_if_done() {
  if (finishing_ && in_flight_.empty() && unsent() == 0)
    shut();
}

void connection::shut() {
  if (closed())
    return;
  close();
  grace_.cancel();
  in_flight_.clear();
  if (const auto owner = owner_.lock())
    owner->forget(id_);
}

} // namespace troupe::ttrpc
