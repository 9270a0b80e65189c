#pragma once

#include "messages/ttrpc/channel.hpp"
#include "messages/ttrpc/envelope.hpp"
#include "messages/ttrpc/frame.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

namespace troupe::ttrpc::test {

/// "00 00 ff" -> three bytes.
inline std::string bytes(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); ++i) {
    if (hex[i] == ' ' || hex[i] == '\n')
      continue;
    out += static_cast<char>(std::stoi(std::string{hex.substr(i, 2)}, nullptr, 16));
    ++i;
  }
  return out;
}

/// Runs the loop until the condition holds. A test that hangs fails after the bound.
inline bool run_until(asio::io_context& io, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (!done()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    io.restart();
    io.run_one_for(std::chrono::milliseconds{50});
  }
  return true;
}

/// Two connected sockets: one for the code under test, one that the test plays the peer on.
struct socket_pair {
  unique_fd ours;
  unique_fd theirs;

  socket_pair() {
    std::array<int, 2> fds{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) == 0);
    ours.reset(fds[0]);
    theirs.reset(fds[1]);
  }

  stream_socket give(asio::io_context& io) {
    return {io, asio::generic::stream_protocol{AF_UNIX, 0}, ours.release()};
  }
};

/// The other end, spoken by hand.
class peer {
public:
  peer(asio::io_context& io, unique_fd fd) : io_(io), fd_(std::move(fd)) {}

  void write(std::string_view what) {
    while (!what.empty()) {
      const auto n = ::send(fd_.get(), what.data(), what.size(), MSG_NOSIGNAL);
      if (n > 0)
        what.remove_prefix(static_cast<std::size_t>(n));
      else
        turn();
    }
  }

  void call(std::uint32_t stream, const call_request& request) {
    write(encode(stream, frame_type::request, encode_request(request)));
  }

  void respond(std::uint32_t stream, const outcome<std::string>& answer) {
    write(encode(stream, frame_type::response, encode_response(answer)));
  }

  /// The next frame, however long the loop takes to produce it.
  frame next() {
    REQUIRE(run_until(io_, [this] {
      turn();
      return !frames_.empty();
    }));
    auto first = std::move(frames_.front());
    frames_.pop_front();
    return first;
  }

  /// The next response, as its stream and what it says.
  std::pair<std::uint32_t, outcome<std::string>> response() {
    const auto got = next();
    REQUIRE(got.header.is(frame_type::response));
    auto answer = decode_response(got.body);
    REQUIRE(answer);
    return {got.header.stream, *answer};
  }

  /// Whether the other side has closed and nothing is left to read.
  bool ended() {
    turn();
    return eof_ && frames_.empty();
  }

  void close() { fd_.reset(); }
  void shutdown_write() { ::shutdown(fd_.get(), SHUT_WR); }

private:
  void turn() {
    io_.restart();
    io_.poll();
    std::array<char, 65536> buffer{};
    for (;;) {
      const auto n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) {
        eof_ = eof_ || n == 0 || errno == ECONNRESET;
        return;
      }
      std::string_view view{buffer.data(), static_cast<std::size_t>(n)};
      while (auto item = reader_.next(view))
        frames_.push_back(std::get<frame>(std::move(*item)));
    }
  }

  asio::io_context& io_;
  unique_fd fd_;
  frame_reader reader_;
  std::deque<frame> frames_;
  bool eof_ = false;
};

} // namespace troupe::ttrpc::test
