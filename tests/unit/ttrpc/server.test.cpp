#include "messages/ttrpc/server.hpp"
#include "messages/ttrpc/client.hpp"
#include "tests/unit/ttrpc/peer.hpp"

#include <fcntl.h>
#include <sys/un.h>

#include <list>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace troupe;
using namespace troupe::ttrpc;
using namespace troupe::ttrpc::test;

namespace {

/// A server with an echo, a method that never answers by itself, and the usual accidents.
struct bench {
  asio::io_context io;
  std::optional<server> served;
  std::list<reply> held;
  std::vector<request> seen;

  explicit bench(server_options options = {}) {
    served.emplace(io, std::move(options));
    served->add("s", "echo", [this](request r, reply answer) {
      seen.push_back(r);
      std::move(answer).send(r.payload);
    });
    served->add("s", "hold", [this](request r, reply answer) {
      seen.push_back(std::move(r));
      held.push_back(std::move(answer));
    });
    served->add("s", "drop", [](request, reply) {});
    served->add("s", "throw", [](request, reply) { throw std::runtime_error{"oops"}; });
    served->add("s", "huge",
                [](request, reply answer) { std::move(answer).send(std::string(max_body, 'h')); });
  }
  ~bench() {
    held.clear();
    served.reset();
    io.restart();
    io.poll();
  }

  peer connect() {
    socket_pair sockets;
    served->serve(sockets.give(io));
    return {io, std::move(sockets.theirs)};
  }
};

call_request to(std::string method, std::string payload = "") {
  return {.service = "s", .method = std::move(method), .payload = std::move(payload)};
}

errc code_of(const outcome<std::string>& answer) {
  REQUIRE_FALSE(answer);
  return answer.error().code;
}

} // namespace

TEST_CASE("server: a call reaches its handler with metadata, deadline, connection and peer") {
  bench b;
  auto first = b.connect();
  auto second = b.connect();
  auto call = to("echo", "ping");
  call.timeout = seconds{5};
  call.metadata = {{"containerd-namespace-ttrpc", "k8s.io"}, {"a", "1"}, {"a", "2"}};
  const auto before = monotonic_clock::now();
  second.call(1, call);
  CHECK(second.response() == std::pair{1U, outcome<std::string>{"ping"}});
  first.call(1, to("echo"));
  CHECK(first.response().second == outcome<std::string>{""});

  REQUIRE(b.seen.size() == 2);
  CHECK(b.seen[0].find("containerd-namespace-ttrpc") == "k8s.io");
  CHECK(b.seen[0].find("a") == "1");
  CHECK(b.seen[0].find("missing").empty());
  CHECK(b.seen[0].deadline >= before + seconds{5});
  CHECK(b.seen[0].deadline <= monotonic_clock::now() + seconds{5});
  CHECK(b.seen[0].connection == 2);
  REQUIRE(b.seen[0].peer);
  CHECK(b.seen[0].peer->pid == ::getpid());
  CHECK(b.seen[0].peer->uid == ::getuid());
  CHECK(b.seen[1].connection == 1);
  CHECK(b.seen[1].deadline == time_point::max());
}

TEST_CASE("server: stream ids must be odd, but need not rise and may come again") {
  bench b;
  auto p = b.connect();
  for (const std::uint32_t id : {0U, 2U, 0x80000000U}) {
    p.call(id, to("echo"));
    const auto [stream, answer] = p.response();
    CHECK(stream == id);
    CHECK(code_of(answer) == errc::invalid_argument);
  }
  for (const std::uint32_t id : {9U, 3U, 9U}) {
    p.call(id, to("echo", "x"));
    CHECK(p.response() == std::pair{id, outcome<std::string>{"x"}});
  }
}

TEST_CASE("server: what it does not serve is Unimplemented, what does not parse InvalidArgument") {
  bench b;
  auto p = b.connect();
  p.call(1, {.service = "other", .method = "echo"});
  CHECK(p.response().second.error() ==
        failure{errc::unimplemented, "service other is not served here", 0});
  p.call(3, to("nope"));
  CHECK(p.response().second.error().text == "service s has no method nope");
  p.write(encode(5, frame_type::request, "\xff\xff"));
  const auto [stream, answer] = p.response();
  CHECK(stream == 5);
  CHECK(code_of(answer) == errc::invalid_argument);
}

TEST_CASE("server: streaming is refused on its stream, unknown frame types are skipped") {
  bench b;
  auto p = b.connect();
  p.write(encode(7, frame_type::data, "x"));
  CHECK(p.response().first == 7);
  auto opening = encode(9, frame_type::request, encode_request(to("echo")));
  opening[9] = static_cast<char>(flag_remote_open);
  p.write(opening);
  const auto [stream, answer] = p.response();
  CHECK(stream == 9);
  CHECK(code_of(answer) == errc::invalid_argument);
  p.write(encode(11, static_cast<frame_type>(9), "later protocol"));
  p.write(encode(11, frame_type::response, ""));
  p.call(13, to("echo", "still here"));
  CHECK(p.response() == std::pair{13U, outcome<std::string>{"still here"}});
}

TEST_CASE("server: an oversize frame is drained and refused, the connection lives") {
  bench b;
  auto p = b.connect();
  p.write(bytes("00500000 00000003 01 00"));
  p.write(std::string(5U << 20, 'o'));
  p.call(5, to("echo", "next"));
  const auto [stream, answer] = p.response();
  CHECK(stream == 3);
  CHECK(code_of(answer) == errc::resource_exhausted);
  CHECK(p.response() == std::pair{5U, outcome<std::string>{"next"}});
}

TEST_CASE("server: answers come in the order they are ready") {
  bench b;
  auto p = b.connect();
  p.call(1, to("hold"));
  p.call(3, to("hold"));
  REQUIRE(run_until(b.io, [&] { return b.held.size() == 2; }));
  std::move(b.held.back()).send(std::string{"second"});
  CHECK(p.response() == std::pair{3U, outcome<std::string>{"second"}});
  std::move(b.held.front()).send(fail(errc::failed_precondition, "not yet"));
  CHECK(p.response().second.error() == failure{errc::failed_precondition, "not yet", 0});
}

TEST_CASE("server: past its deadline a call is answered, the late answer is dropped") {
  bench b;
  auto p = b.connect();
  auto call = to("hold");
  call.timeout = milliseconds{1};
  p.call(1, call);
  CHECK(code_of(p.response().second) == errc::deadline_exceeded);
  p.call(1, to("hold"));
  REQUIRE(run_until(b.io, [&] { return b.held.size() == 2; }));
  std::move(b.held.front()).send(std::string{"late, for the first call on this id"});
  std::move(b.held.back()).send(std::string{"for the second"});
  CHECK(p.response() == std::pair{1U, outcome<std::string>{"for the second"}});
}

TEST_CASE("server: a negative timeout is a deadline that passed, a huge one is none") {
  bench b;
  auto p = b.connect();
  auto call = to("echo", "x");
  call.timeout = std::chrono::nanoseconds{-1};
  p.call(1, call);
  CHECK(code_of(p.response().second) == errc::deadline_exceeded);
  call.timeout = std::chrono::nanoseconds::max();
  p.call(3, call);
  CHECK(p.response().second == outcome<std::string>{"x"});
}

TEST_CASE(
    "server: a handler that drops its reply, throws or answers too much is named internally") {
  bench b;
  auto p = b.connect();
  p.call(1, to("drop"));
  CHECK(p.response().second.error().text == "the call was dropped without an answer");
  p.call(3, to("throw"));
  const auto thrown = p.response().second;
  CHECK(code_of(thrown) == from_grpc(static_cast<int>(grpc_code::internal)));
  CHECK(thrown.error().text == "s/throw: unexpected: oops");
  p.call(5, to("huge"));
  CHECK(code_of(p.response().second) == errc::resource_exhausted);
  p.call(7, to("echo", "alive"));
  CHECK(p.response().second == outcome<std::string>{"alive"});
}

TEST_CASE("server: calls in flight are capped by number and by bytes, per connection") {
  bench b{{.max_in_flight = 2, .max_in_flight_bytes = 1000}};
  auto p = b.connect();
  p.call(1, to("hold"));
  p.call(3, to("hold"));
  p.call(5, to("echo"));
  CHECK(p.response().first == 5);
  b.held.clear();
  CHECK(code_of(p.response().second) == errc::peer_fault);
  CHECK(code_of(p.response().second) == errc::peer_fault);
  p.call(7, to("hold", std::string(900, 'x')));
  p.call(9, to("echo", std::string(200, 'x')));
  const auto [stream, answer] = p.response();
  CHECK(stream == 9);
  CHECK(code_of(answer) == errc::resource_exhausted);
  auto other = b.connect();
  other.call(1, to("echo", std::string(200, 'y')));
  CHECK(other.response().second == outcome<std::string>{std::string(200, 'y')});
}

TEST_CASE("server: two calls on one stream at once are refused, the first goes on") {
  bench b;
  auto p = b.connect();
  p.call(1, to("hold"));
  p.call(1, to("echo"));
  CHECK(code_of(p.response().second) == errc::invalid_argument);
  std::move(b.held.front()).send(std::string{"first"});
  CHECK(p.response() == std::pair{1U, outcome<std::string>{"first"}});
}

TEST_CASE("server: a peer that does not read its answers is disconnected") {
  bench b{{.max_unsent_bytes = 8U << 20}};
  socket_pair sockets;
  b.served->serve(sockets.give(b.io));
  const auto call =
      encode(1, frame_type::request, encode_request(to("echo", std::string(1U << 20, 'x'))));
  bool broken = false;
  for (int i = 0; i < 64 && !broken; ++i)
    for (std::string_view left{call}; !left.empty() && !broken;) {
      const auto n = ::send(sockets.theirs.get(), left.data(), left.size(), MSG_NOSIGNAL);
      broken = n < 0 && errno == EPIPE;
      left.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0);
      b.io.restart();
      b.io.poll();
    }
  CHECK(broken);
}

TEST_CASE("server: after a half-close calls in flight are still answered, then it closes") {
  bench b;
  auto p = b.connect();
  p.call(1, to("hold"));
  REQUIRE(run_until(b.io, [&] { return b.held.size() == 1; }));
  p.shutdown_write();
  CHECK_FALSE(p.ended());
  std::move(b.held.front()).send(std::string{"still"});
  CHECK(p.response() == std::pair{1U, outcome<std::string>{"still"}});
  CHECK(run_until(b.io, [&] { return p.ended(); }));
}

TEST_CASE("server: a half-closed connection whose call never ends is closed after the grace") {
  bench b{{.half_close_grace = milliseconds{1}}};
  auto p = b.connect();
  p.call(1, to("hold"));
  p.shutdown_write();
  CHECK(run_until(b.io, [&] { return p.ended(); }));
  CHECK(b.held.size() == 1);
}

TEST_CASE("server: a reply to a peer that left goes nowhere") {
  bench b;
  auto p = b.connect();
  p.call(1, to("hold"));
  REQUIRE(run_until(b.io, [&] { return b.held.size() == 1; }));
  p.close();
  std::move(b.held.front()).send(std::string{"anybody?"});
  auto next = b.connect();
  next.call(1, to("echo", "yes"));
  CHECK(next.response().second == outcome<std::string>{"yes"});
}

TEST_CASE("server: stop lets calls in flight finish, refuses new ones as retryable, then closes") {
  bench b;
  auto p = b.connect();
  auto idle = b.connect();
  p.call(1, to("hold"));
  REQUIRE(run_until(b.io, [&] { return b.held.size() == 1; }));
  bool stopped = false;
  b.served->stop(seconds{30}, [&] { stopped = true; });
  CHECK(run_until(b.io, [&] { return idle.ended(); }));
  p.call(3, to("echo"));
  const auto refused = p.response();
  CHECK(refused.first == 3);
  CHECK(code_of(refused.second) == errc::restarting);
  CHECK_FALSE(stopped);
  std::move(b.held.front()).send(std::string{"done"});
  CHECK(p.response() == std::pair{1U, outcome<std::string>{"done"}});
  CHECK(run_until(b.io, [&] { return stopped && p.ended(); }));
}

TEST_CASE("server: stop does not wait longer than its drain deadline") {
  bench b;
  auto p = b.connect();
  p.call(1, to("hold"));
  REQUIRE(run_until(b.io, [&] { return b.held.size() == 1; }));
  bool stopped = false;
  b.served->stop(milliseconds{1}, [&] { stopped = true; });
  CHECK(run_until(b.io, [&] { return stopped; }));
  CHECK(run_until(b.io, [&] { return p.ended(); }));
}

TEST_CASE("server and client: destroyed with a loop that never turns again, they leave nothing") {
  socket_pair sockets;
  std::optional<asio::io_context> io{std::in_place};
  std::optional<server> served{std::in_place, *io, server_options{}};
  std::list<reply> held;
  served->add("s", "hold", [&](request, reply answer) { held.push_back(std::move(answer)); });
  served->serve(sockets.give(*io));
  stream_socket end{*io, asio::generic::stream_protocol{AF_UNIX, 0}, sockets.theirs.release()};
  std::optional<client> caller{std::in_place, std::move(end), client_options{}};
  caller->call(to("hold"), [](const outcome<std::string>&) {});
  REQUIRE(run_until(*io, [&] { return held.size() == 1; }));
  caller.reset();
  served.reset();
  io.reset();
  held.clear();
}

namespace {

/// A listening socket in the abstract name space: nothing to unlink. Bound by autobind.
struct listening_socket {
  unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un name{};
  socklen_t size = sizeof(sa_family_t);

  listening_socket() {
    name.sun_family = AF_UNIX;
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&name), size) == 0);
    REQUIRE(::listen(fd.get(), 16) == 0);
    size = sizeof name;
    REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0);
  }

  peer dial(asio::io_context& io) const {
    unique_fd end{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    REQUIRE(::connect(end.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0);
    return {io, std::move(end)};
  }
};

} // namespace

TEST_CASE("server: listening, it serves who may come and turns away the others") {
  std::vector<pid_t> asked;
  bool welcome = true;
  bench b{{.max_connections = 2, .accept_if = [&](const peer_credentials& who) {
             asked.push_back(who.pid);
             return welcome;
           }}};
  listening_socket at;
  REQUIRE(b.served->listen(std::move(at.fd)));
  auto first = at.dial(b.io);
  first.call(1, to("echo", "a"));
  CHECK(first.response().second == outcome<std::string>{"a"});
  welcome = false;
  auto refused = at.dial(b.io);
  CHECK(run_until(b.io, [&] { return refused.ended(); }));
  welcome = true;
  auto second = at.dial(b.io);
  second.call(1, to("echo", "b"));
  CHECK(second.response().second == outcome<std::string>{"b"});
  auto third = at.dial(b.io);
  CHECK(run_until(b.io, [&] { return third.ended(); }));
  CHECK(asked == std::vector<pid_t>(4, ::getpid()));
}

TEST_CASE("server: the descriptors it makes are closed on exec") {
  const auto open_fds = [] {
    std::set<int> open;
    for (int fd = 0; fd < 256; ++fd)
      if (::fcntl(fd, F_GETFD) >= 0)
        open.insert(fd);
    return open;
  };
  bench b;
  listening_socket at;
  REQUIRE(b.served->listen(std::move(at.fd)));
  const auto before = open_fds();
  auto p = at.dial(b.io);
  p.call(1, to("echo"));
  static_cast<void>(p.response());
  int fresh = 0;
  for (const int fd : open_fds()) {
    if (before.contains(fd))
      continue;
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    ++fresh;
  }
  CHECK(fresh == 2);
}

TEST_CASE("server and client: a thousand calls at once, answered by other threads in any order") {
  constexpr int calls = 1000;
  bench b;
  socket_pair sockets;
  b.served->serve(sockets.give(b.io));
  stream_socket end{b.io, asio::generic::stream_protocol{AF_UNIX, 0}, sockets.theirs.release()};
  std::optional<client> caller;
  caller.emplace(std::move(end), client_options{});
  std::vector<std::string> answers(calls);
  int done = 0;
  for (int i = 0; i < calls; ++i) {
    auto call = to("hold", std::to_string(i));
    call.timeout = seconds{30};
    caller->call(std::move(call), [&, i](outcome<std::string> answer) {
      answers[static_cast<std::size_t>(i)] = answer ? *answer : answer.error().to_string();
      ++done;
    });
  }
  REQUIRE(run_until(b.io, [&] { return b.held.size() == calls; }));
  {
    std::vector<std::pair<reply, std::string>> work;
    for (std::size_t i = 0; !b.held.empty(); ++i) {
      work.emplace_back(std::move(b.held.front()), b.seen[i].payload);
      b.held.pop_front();
    }
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&work, t] {
        for (std::size_t i = work.size(); i-- > 0;)
          if (i % 4 == t)
            std::move(work[i].first).send("r" + work[i].second);
      });
  }
  CHECK(run_until(b.io, [&] { return done == calls; }));
  for (int i = 0; i < calls; ++i)
    REQUIRE(answers[static_cast<std::size_t>(i)] == "r" + std::to_string(i));
  caller.reset();
}
