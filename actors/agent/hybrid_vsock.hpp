#pragma once

#include "messages/ttrpc/channel.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace troupe::agent {

struct dial_options {
  /// Unix socket of the machine's vsock device.
  std::string path{};
  /// Guest port: 1024 is the agent, 1025 its log.
  std::uint32_t port = 0;
  /// When to give up.
  time_point deadline = time_point::max();
  /// How long one attempt may take. A device that accepts and never answers must not hold us.
  milliseconds per_try = seconds{1};
  /// Asked before every attempt: whether there is still a machine to reach. Its failure ends the
  /// dial.
  std::function<outcome<void>()> alive{};
};

/// Reaches a port of the guest through the hybrid vsock convention of Firecracker and Cloud
/// Hypervisor: connect to a unix socket, say "CONNECT <port>\n", read "OK <n>\n"; from then on the
/// stream is the guest's. The end of the stream instead means that nobody listens in the guest yet,
/// so it tries again, with pauses of 2 to 20 ms, until the deadline.
///
/// Failures, with stage, number of attempts and the last reason in the text: deadline_exceeded;
/// what `alive` said; cancelled; invalid_argument for a path that fits no socket address;
/// peer_fault for an answer that is no OK line.
class hybrid_dial : public std::enable_shared_from_this<hybrid_dial> {
public:
  using callback = std::function<void(outcome<ttrpc::stream_socket>)>;

  /// Starts it; `done` is called once, on the io thread. It lives on without the returned handle.
  /// Any thread.
  static std::shared_ptr<hybrid_dial> start(asio::io_context& io, dial_options options,
                                            callback done);

  hybrid_dial(asio::io_context& io, dial_options options, callback done)
      : socket_(io), timer_(io), options_(std::move(options)), done_(std::move(done)) {}

  /// Ends it with `cancelled`, unless it is over. Any thread.
  void cancel();

private:
  void attempt();
  outcome<void> connect();
  void arm();
  void say_connect();
  void read_answer();
  outcome<bool> take_answer();
  void retry(const failure& why);
  void finish(outcome<ttrpc::stream_socket> result);
  [[nodiscard]] failed give_up(errc code, std::string_view why) const;

  ttrpc::stream_socket socket_;
  asio::steady_timer timer_;
  dial_options options_;
  callback done_;
  std::string greeting_;
  std::string answer_;
  failure last_{errc::deadline_exceeded, "no attempt was made", 0};
  int attempts_ = 0;
  milliseconds pause_{};
};

} // namespace troupe::agent
