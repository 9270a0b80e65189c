#include "actors/agent/hybrid_vsock.hpp"

#include <asio/buffer.hpp>
#include <asio/post.hpp>
#include <asio/write.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace troupe::agent {
namespace {

constexpr milliseconds first_pause{2};
constexpr milliseconds longest_pause{20};

/// "OK " and a 32-bit number. A device that keeps talking without a line end is no vsock device.
constexpr std::size_t longest_answer = 32;

outcome<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(errc::invalid_argument, "vsock socket path of {} bytes, 1 to {} are possible",
                path.size(), sizeof address.sun_path - 1);
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

bool is_ok_line(std::string_view line) {
  return line.size() > 4 && line.starts_with("OK ") && line.ends_with('\n') &&
         std::ranges::all_of(line.substr(3, line.size() - 4),
                             [](char c) { return c >= '0' && c <= '9'; });
}

} // namespace

std::shared_ptr<hybrid_dial> hybrid_dial::start(asio::io_context& io, dial_options options,
                                                callback done) {
  auto dial = std::make_shared<hybrid_dial>(io, std::move(options), std::move(done));
  asio::post(io, [dial] { dial->attempt(); });
  return dial;
}

void hybrid_dial::cancel() {
  asio::post(timer_.get_executor(), [self = shared_from_this()] {
    self->finish(self->give_up(errc::cancelled, "called off"));
  });
}

void hybrid_dial::attempt() {
  if (!done_)
    return;
  if (options_.alive)
    if (const auto alive = options_.alive(); !alive)
      return finish(give_up(alive.error().code, alive.error().text));
  if (attempts_ > 0 && monotonic_clock::now() >= options_.deadline)
    return finish(give_up(errc::deadline_exceeded, last_.text));
  ++attempts_;
  if (const auto connected = connect(); !connected)
    return retry(connected.error());
  arm();
  say_connect();
}

outcome<void> hybrid_dial::connect() {
  const auto address = TRY(address_of(options_.path));
  // Made by hand: asio's own sockets are not closed on exec.
  unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd)
    return fail_errno("socket", errno);
  // On a unix socket this never waits: it succeeds, or the listener is absent or its queue full.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connect", errno);
  asio::error_code error;
  socket_.assign(asio::generic::stream_protocol{AF_UNIX, 0}, fd.get(), error);
  if (error)
    return fail_errno("watch the connection", error.value());
  static_cast<void>(fd.release());
  return {};
}

void hybrid_dial::arm() {
  timer_.expires_at(std::min(options_.deadline, monotonic_clock::now() + options_.per_try));
  timer_.async_wait([self = shared_from_this(), now = attempts_](const asio::error_code& error) {
    if (!error && self->attempts_ == now)
      self->retry({errc::deadline_exceeded, "handshake: no answer", 0});
  });
}

void hybrid_dial::say_connect() {
  greeting_ = fmt::format("CONNECT {}\n", options_.port);
  answer_.clear();
  const auto sent = [self = shared_from_this(), now = attempts_](const asio::error_code& error,
                                                                 std::size_t) {
    if (self->attempts_ != now || !self->socket_.is_open())
      return;
    if (error)
      return self->retry({errc::host_io, "handshake: " + error.message(), error.value()});
    self->read_answer();
  };
  asio::async_write(socket_, asio::buffer(greeting_), sent);
}

void hybrid_dial::read_answer() {
  const auto ready = [self = shared_from_this(), now = attempts_](const asio::error_code& error) {
    if (error || self->attempts_ != now || !self->socket_.is_open())
      return;
    const auto complete = self->take_answer();
    if (!complete && complete.error().code == errc::peer_fault)
      return self->finish(self->give_up(errc::peer_fault, complete.error().text));
    if (!complete)
      return self->retry(complete.error());
    if (!*complete)
      return self->read_answer();
    self->finish(std::move(self->socket_));
  };
  socket_.async_wait(ttrpc::stream_socket::wait_read, ready);
}

// Looks before it takes: what follows the line end is the guest's and stays in the socket.
outcome<bool> hybrid_dial::take_answer() {
  std::array<char, longest_answer> bytes{};
  const auto room = longest_answer - answer_.size();
  const auto seen = ::recv(socket_.native_handle(), bytes.data(), room, MSG_PEEK | MSG_DONTWAIT);
  if (seen < 0 && errno == EAGAIN)
    return false;
  if (seen < 0)
    return fail_errno("handshake: read", errno);
  if (seen == 0)
    return fail(errc::host_io, "handshake: nobody listens on the port in the guest");
  const std::string_view view{bytes.data(), static_cast<std::size_t>(seen)};
  const auto end = view.find('\n');
  const auto mine = end == std::string_view::npos ? view.size() : end + 1;
  answer_ += view.substr(0, mine);
  static_cast<void>(::recv(socket_.native_handle(), bytes.data(), mine, MSG_DONTWAIT));
  if (end == std::string_view::npos && answer_.size() < longest_answer)
    return false;
  if (!is_ok_line(answer_))
    return fail(errc::peer_fault, "handshake: the answer is not \"OK <port>\"");
  return true;
}

void hybrid_dial::retry(const failure& why) {
  asio::error_code ignored;
  socket_.close(ignored);
  if (why.code == errc::invalid_argument)
    return finish(give_up(why.code, why.text));
  last_ = why;
  pause_ = std::clamp(pause_ * 2, first_pause, longest_pause);
  timer_.expires_at(std::min(options_.deadline, monotonic_clock::now() + pause_));
  timer_.async_wait([self = shared_from_this(), now = attempts_](const asio::error_code& error) {
    if (!error && self->attempts_ == now)
      self->attempt();
  });
}

void hybrid_dial::finish(outcome<ttrpc::stream_socket> result) {
  const auto done = std::exchange(done_, nullptr);
  timer_.cancel();
  asio::error_code ignored;
  if (!result)
    socket_.close(ignored);
  if (done)
    done(std::move(result));
}

failed hybrid_dial::give_up(errc code, std::string_view why) const {
  return fail(code, "dial guest port {} by {}: attempt {}: {}", options_.port, options_.path,
              attempts_, why);
}

} // namespace troupe::agent
