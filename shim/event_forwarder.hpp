#pragma once

#include "messages/ttrpc/client.hpp"
#include "messages/vocabulary/units.hpp"

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <string>

namespace troupe::shim {

/// Events that wait for containerd at most. It may be down for minutes while pods go on; a pod that
/// restarts its process in a loop must not fill our memory meanwhile.
inline constexpr std::size_t max_waiting_events = 4096;

struct forwarder_options {
  /// containerd's ttRPC socket; empty: nobody listens (CRI-O), events are only logged.
  std::string socket;
  milliseconds call_timeout = seconds{5};
  /// Pause before a try after a failed one; doubles up to the second.
  milliseconds first_pause{50};
  milliseconds longest_pause = seconds{5};
};

/// Hands events to containerd in order, one at a time, until it has taken them. It holds what is
/// not yet taken: no actor does, so none of it is lost with one. Everything on the io thread but
/// the constructor and push().
class event_forwarder : public std::enable_shared_from_this<event_forwarder> {
public:
  [[nodiscard]] static std::shared_ptr<event_forwarder> make(asio::io_context& io,
                                                             forwarder_options options);

  /// Queues a ForwardRequest under its topic. Any thread. Over max_waiting_events the oldest goes,
  /// with an error in the log.
  void push(std::string topic, std::string request);

  /// Calls `then` when all is delivered or `patience` has passed, with what is left undelivered.
  void flush(milliseconds patience, std::function<void(std::size_t)> then);

private:
  struct item {
    std::string topic;
    std::string request;
  };

  event_forwarder(asio::io_context& io, forwarder_options options);
  void take(item next);
  void send();
  void sent(const outcome<std::string>& answer);
  void retry_later();
  outcome<void> connect();
  void settle();

  asio::io_context& io_;
  forwarder_options options_;
  std::deque<item> waiting_;
  std::unique_ptr<ttrpc::client> client_;
  bool busy_ = false; ///< a call or a pause is under way
  milliseconds pause_;
  asio::steady_timer timer_;
  asio::steady_timer patience_;
  std::function<void(std::size_t)> flushed_;
};

} // namespace troupe::shim
