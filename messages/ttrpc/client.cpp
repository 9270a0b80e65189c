#include "messages/ttrpc/client.hpp"

#include <asio/bind_executor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>

namespace troupe::ttrpc {
namespace {

/// Added to now it must not overflow.
constexpr std::chrono::hours longest_timeout{24 * 365};

} // namespace

class client::core final : public channel {
public:
  core(stream_socket socket, strand where, client_options options)
      : channel(std::move(socket), std::move(where)), options_(std::move(options)) {}

  void call(call_request request, callback done);
  /// Fails everything pending, once; `lost` also tells on_closed.
  void end(failure why, bool lost);

protected:
  void on_frame(frame received) override;
  void on_oversize(const frame_header& header) override;
  void on_end(const std::string& why, bool writable) override;

private:
  struct pending {
    callback done;
    asio::steady_timer deadline;
  };

  std::shared_ptr<core> self() { return std::static_pointer_cast<core>(shared_from_this()); }
  outcome<std::string> admit(const call_request& request) const;
  void arm(std::uint32_t stream, pending& entry, std::chrono::nanoseconds timeout);
  void settle(std::uint32_t stream, outcome<std::string> answer);
  void garbage(const std::string& what);

  client_options options_;
  std::unordered_map<std::uint32_t, pending> pending_;
  std::uint32_t next_stream_ = 1;
  failure ended_;
};

// Ids are drawn and frames queued in one step of the strand: a Go server refuses ids out of order.
void client::core::call(call_request request, callback done) {
  auto body = admit(request);
  if (!body)
    return done(failed{std::move(body).error()});
  const auto stream = std::exchange(next_stream_, next_stream_ + 2);
  auto [at, fresh] =
      pending_.try_emplace(stream, pending{std::move(done), asio::steady_timer{where()}});
  if (request.timeout > std::chrono::nanoseconds{0})
    arm(stream, at->second, request.timeout);
  send(stream, frame_type::request, *body);
}

outcome<std::string> client::core::admit(const call_request& request) const {
  if (closed())
    return failed{ended_};
  if (pending_.size() >= max_calls_in_flight)
    return fail(errc::resource_exhausted, "{} calls already wait for {}", pending_.size(),
                options_.peer);
  if (next_stream_ == std::numeric_limits<std::uint32_t>::max())
    return fail(errc::resource_exhausted, "{}: the connection's stream ids are used up",
                options_.peer);
  auto body = encode_request(request);
  if (unsent() + body.size() > max_unsent_bytes)
    return fail(errc::resource_exhausted, "{} does not read: {} bytes wait to be sent",
                options_.peer, unsent());
  if (body.size() > max_body)
    return fail(errc::resource_exhausted, "request of {} bytes, at most {} can be sent",
                body.size(), max_body);
  return body;
}

void client::core::arm(std::uint32_t stream, pending& entry, std::chrono::nanoseconds timeout) {
  entry.deadline.expires_after(std::min<std::chrono::nanoseconds>(timeout, longest_timeout));
  const auto expired = [self = self(), stream, timeout](const asio::error_code& error) {
    const auto at = self->pending_.find(stream);
    if (error || at == self->pending_.end())
      return;
    const auto waited = std::chrono::duration_cast<milliseconds>(timeout);
    self->settle(stream, fail(errc::deadline_exceeded, "no answer from {} within {} ms",
                              self->options_.peer, waited.count()));
  };
  entry.deadline.async_wait(asio::bind_executor(where(), expired));
}

void client::core::settle(std::uint32_t stream, outcome<std::string> answer) {
  auto entry = pending_.extract(stream);
  entry.mapped().deadline.cancel();
  entry.mapped().done(std::move(answer));
}

void client::core::on_frame(frame received) {
  const auto stream = received.header.stream;
  if (!received.header.is(frame_type::response))
    return garbage(fmt::format("frame of type {} on stream {}", received.header.type, stream));
  if (stream % 2 == 0 || stream >= next_stream_)
    return garbage(fmt::format("response on stream {}, which no call opened", stream));
  if (!pending_.contains(stream))
    return; // The answer of a call that timed out.
  auto answer = decode_response(received.body);
  if (!answer)
    return garbage(answer.error().text);
  settle(stream, *std::move(answer));
}

void client::core::on_oversize(const frame_header& header) {
  garbage(fmt::format("frame of {} bytes, at most {} are allowed", header.length, max_body));
}

void client::core::on_end(const std::string& why, bool) {
  end({options_.closed, fmt::format("{}: connection lost: {}", options_.peer, why), 0}, true);
}

void client::core::garbage(const std::string& what) {
  end({options_.garbage, fmt::format("{}: broke the ttrpc protocol: {}", options_.peer, what), 0},
      true);
}

void client::core::end(failure why, bool lost) {
  if (closed())
    return;
  close();
  ended_ = why;
  for (auto& [stream, entry] : std::exchange(pending_, {})) {
    entry.deadline.cancel();
    entry.done(failed{why});
  }
  if (const auto tell = std::exchange(options_.on_closed, nullptr); lost && tell)
    tell(why);
}

client::client(stream_socket socket, client_options options) {
  quiet_protobuf();
  const strand where{socket.get_executor()};
  core_ = std::make_shared<core>(std::move(socket), where, std::move(options));
  asio::post(where, [core = core_] { core->start(); });
}

client::~client() {
  if (core_)
    close();
}

void client::call(call_request request, callback done) const {
  asio::post(core_->where(),
             [core = core_, request = std::move(request), done = std::move(done)]() mutable {
               core->call(std::move(request), std::move(done));
             });
}

void client::close() const {
  asio::post(core_->where(), [core = core_] {
    core->end({errc::cancelled, "the connection was closed on this side", 0}, false);
  });
}

} // namespace troupe::ttrpc
