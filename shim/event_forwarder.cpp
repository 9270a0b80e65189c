#include "shim/event_forwarder.hpp"

#include "messages/vocabulary/log.hpp"

#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>

#include <algorithm>

namespace troupe::shim {
namespace {

constexpr const char* who = "events";

} // namespace

std::shared_ptr<event_forwarder> event_forwarder::make(asio::io_context& io,
                                                       forwarder_options options) {
  return std::shared_ptr<event_forwarder>{new event_forwarder{io, std::move(options)}};
}

event_forwarder::event_forwarder(asio::io_context& io, forwarder_options options)
    : io_(io), options_(std::move(options)), pause_(options_.first_pause), timer_(io),
      patience_(io) {}

void event_forwarder::push(std::string topic, std::string request) {
  asio::post(io_, [self = shared_from_this(), next = item{std::move(topic), std::move(request)}] {
    self->take(next);
  });
}

void event_forwarder::take(item next) {
  log::debug(who, "{}", next.topic);
  if (options_.socket.empty())
    return;
  if (waiting_.size() >= max_waiting_events) {
    log::error(who, "{} events wait for containerd; {} is lost", waiting_.size(),
               waiting_.front().topic);
    waiting_.pop_front();
  }
  waiting_.push_back(std::move(next));
  send();
}

void event_forwarder::send() {
  if (busy_ || waiting_.empty())
    return settle();
  if (const auto connected = connect(); !connected) {
    log::warn(who, "{}", connected.error().text);
    return retry_later();
  }
  busy_ = true;
  ttrpc::call_request call;
  call.service = "containerd.services.events.ttrpc.v1.Events";
  call.method = "Forward";
  call.payload = waiting_.front().request;
  call.timeout = options_.call_timeout;
  client_->call(std::move(call), [weak = weak_from_this()](const outcome<std::string>& answer) {
    if (const auto self = weak.lock())
      self->sent(answer);
  });
}

void event_forwarder::sent(const outcome<std::string>& answer) {
  busy_ = false;
  if (!answer) {
    log::warn(who, "{}: {}", waiting_.front().topic, answer.error().text);
    client_.reset();
    return retry_later();
  }
  pause_ = options_.first_pause;
  waiting_.pop_front();
  send();
}

void event_forwarder::retry_later() {
  busy_ = true;
  timer_.expires_after(pause_);
  pause_ = std::min(pause_ * 2, options_.longest_pause);
  timer_.async_wait([weak = weak_from_this()](const asio::error_code& error) {
    const auto self = weak.lock();
    if (error || !self)
      return;
    self->busy_ = false;
    self->send();
  });
}

outcome<void> event_forwarder::connect() {
  if (client_)
    return {};
  asio::local::stream_protocol::socket socket{io_};
  asio::error_code error;
  // A unix socket connects or fails at once; containerd's backlog is all it can wait for.
  socket.connect(asio::local::stream_protocol::endpoint{options_.socket}, error);
  if (error)
    return fail(errc::host_io, "connect {}: {}", options_.socket, error.message());
  ttrpc::client_options client;
  client.peer = "containerd events";
  client_ = std::make_unique<ttrpc::client>(ttrpc::stream_socket{std::move(socket)},
                                            std::move(client));
  return {};
}

void event_forwarder::flush(milliseconds patience, std::function<void(std::size_t)> then) {
  asio::post(io_, [self = shared_from_this(), patience, then = std::move(then)]() mutable {
    self->flushed_ = std::move(then);
    self->patience_.expires_after(patience);
    self->patience_.async_wait([weak = self->weak_from_this()](const asio::error_code& error) {
      const auto alive = weak.lock();
      if (!error && alive && alive->flushed_)
        std::exchange(alive->flushed_, nullptr)(alive->waiting_.size());
    });
    self->settle();
  });
}

void event_forwarder::settle() {
  if (!waiting_.empty() || !flushed_)
    return;
  patience_.cancel();
  std::exchange(flushed_, nullptr)(0);
}

} // namespace troupe::shim
