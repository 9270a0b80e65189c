#include "messages/ttrpc/client.hpp"
#include "tests/unit/ttrpc/peer.hpp"

#include <asio/executor_work_guard.hpp>

#include <map>
#include <optional>
#include <thread>
#include <vector>

using namespace troupe;
using namespace troupe::ttrpc;
using namespace troupe::ttrpc::test;

namespace {

/// A client whose peer is the test.
struct bench {
  asio::io_context io;
  socket_pair sockets;
  peer other{io, std::move(sockets.theirs)};
  std::vector<failure> closed;
  std::optional<client> caller;
  std::map<int, outcome<std::string>> answers;

  bench() {
    caller.emplace(sockets.give(io),
                   client_options{.peer = "agent",
                                  .closed = errc::agent_gone,
                                  .garbage = errc::guest_fault,
                                  .on_closed = [this](const failure& f) { closed.push_back(f); }});
  }
  ~bench() {
    caller.reset();
    io.restart();
    io.poll();
  }

  void call(int key, milliseconds timeout = milliseconds{0}, std::string payload = "p") {
    caller->call({.service = "s", .method = "m", .payload = std::move(payload), .timeout = timeout},
                 [this, key](outcome<std::string> answer) {
                   REQUIRE(answers.emplace(key, std::move(answer)).second);
                 });
  }
  outcome<std::string> wait(int key) {
    REQUIRE(run_until(io, [&] { return answers.contains(key); }));
    return answers.at(key);
  }
};

} // namespace

TEST_CASE("client: ids start at 1, go up by 2, and the frame has the golden bytes") {
  bench b;
  b.call(1);
  b.call(2);
  const auto first = b.other.next();
  CHECK(first.header == frame_header{.length = 9, .stream = 1, .type = 1, .flags = 0});
  CHECK(first.body == bytes("0a 01 73 12 01 6d 1a 01 70"));
  CHECK(b.other.next().header.stream == 3);
}

TEST_CASE("client: answers in any order reach their own callers") {
  bench b;
  for (int i = 0; i < 3; ++i)
    b.call(i);
  for (int i = 0; i < 3; ++i)
    static_cast<void>(b.other.next());
  b.other.respond(5, std::string{"third"});
  b.other.respond(1, fail(errc::not_found, "no c1"));
  b.other.write(bytes("00000000 00000003 02 00"));
  CHECK(b.wait(2) == outcome<std::string>{"third"});
  CHECK(b.wait(0) == outcome<std::string>{failed{failure{errc::not_found, "no c1", 0}}});
  CHECK(b.wait(1) == outcome<std::string>{""});
}

TEST_CASE("client: a call past its deadline fails by name, its late answer is dropped") {
  bench b;
  b.call(1, milliseconds{1});
  const auto sent = b.other.next();
  CHECK(decode_request(sent.body)->timeout == milliseconds{1});
  const auto late = b.wait(1);
  REQUIRE_FALSE(late);
  CHECK(late.error() == failure{errc::deadline_exceeded, "no answer from agent within 1 ms", 0});
  b.other.respond(1, std::string{"late"});
  b.call(2);
  CHECK(b.other.next().header.stream == 3);
  b.other.respond(3, std::string{"in time"});
  CHECK(b.wait(2) == outcome<std::string>{"in time"});
  CHECK(b.closed.empty());
}

TEST_CASE("client: a request over 4 MiB is refused here and nothing is sent") {
  bench b;
  b.call(1, milliseconds{0}, std::string(max_body, 'x'));
  CHECK(b.wait(1).error().code == errc::resource_exhausted);
  b.call(2);
  CHECK(b.other.next().header.stream == 1);
}

TEST_CASE("client: more calls than the cap are refused, those in flight are not touched") {
  bench b;
  for (int i = 0; i <= static_cast<int>(client::max_calls_in_flight); ++i)
    b.call(i);
  const auto refused = b.wait(static_cast<int>(client::max_calls_in_flight));
  CHECK(refused.error().code == errc::resource_exhausted);
  CHECK(b.answers.size() == 1);
}

TEST_CASE("client: a closed connection fails every pending and later call, and tells once") {
  bench b;
  b.call(1);
  b.call(2, seconds{60});
  static_cast<void>(b.other.next());
  b.other.close();
  CHECK(b.wait(1).error().code == errc::agent_gone);
  CHECK(b.wait(2).error().text == "agent: connection lost: closed by peer");
  b.call(3);
  CHECK(b.wait(3).error().code == errc::agent_gone);
  REQUIRE(b.closed.size() == 1);
  CHECK(b.closed[0].code == errc::agent_gone);
}

TEST_CASE(
    "client: an answer that came before the peer left counts, even when the next write fails") {
  bench b;
  b.call(1);
  static_cast<void>(b.other.next());
  b.other.respond(1, std::string{"last words"});
  b.other.close();
  b.call(2);
  CHECK(b.wait(1) == outcome<std::string>{"last words"});
  CHECK(b.wait(2).error().code == errc::agent_gone);
}

TEST_CASE("client: what is no answer to our calls is the peer's fault and ends the connection") {
  const std::map<std::string, std::string> cases{
      {"a stream no call opened", encode(9, frame_type::response, "")},
      {"an even stream", encode(2, frame_type::response, "")},
      {"stream 0", encode(0, frame_type::response, "")},
      {"a request", encode(1, frame_type::request, "")},
      {"a data frame", encode(1, frame_type::data, "")},
      {"an oversize answer", bytes("00400001 00000001 02 00")},
      {"a body that is no response", encode(1, frame_type::response, "\xff\xff")},
      {"another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n"},
  };
  for (const auto& [what, sent] : cases) {
    CAPTURE(what);
    bench b;
    b.call(1);
    static_cast<void>(b.other.next());
    b.other.write(sent);
    CHECK(b.wait(1).error().code == errc::guest_fault);
    REQUIRE(b.closed.size() == 1);
    CHECK(run_until(b.io, [&] { return b.other.ended(); }));
  }
}

TEST_CASE("client: destroyed with calls pending, it fails them as cancelled and tells nobody") {
  bench b;
  b.call(1);
  static_cast<void>(b.other.next());
  b.caller.reset();
  CHECK(b.wait(1).error().code == errc::cancelled);
  CHECK(b.closed.empty());
  CHECK(run_until(b.io, [&] { return b.other.ended(); }));
}

TEST_CASE("client: calls from many threads go out with rising ids and all come back") {
  constexpr int threads = 4;
  constexpr int each = 250;
  bench b;
  std::atomic<int> done{0};
  {
    std::vector<std::jthread> callers;
    for (int t = 0; t < threads; ++t)
      callers.emplace_back([&] {
        for (int i = 0; i < each; ++i)
          b.caller->call({.service = "s", .method = "m"},
                         [&](const outcome<std::string>& answer) { done += answer ? 1 : 0; });
      });
  }
  for (std::uint32_t i = 0; i < threads * each; ++i) {
    REQUIRE(b.other.next().header.stream == 2 * i + 1);
    b.other.respond(2 * i + 1, std::string{});
  }
  CHECK(run_until(b.io, [&] { return done == threads * each; }));
}
