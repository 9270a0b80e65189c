#include "actors/agent/hybrid_vsock.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/ttrpc/peer.hpp"

#include <sys/un.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

using namespace troupe;
using namespace troupe::agent;
using troupe::ttrpc::test::run_until;

namespace {

/// A vsock device played by the test: a unix socket in a folder of its own.
struct device {
  test::scratch_folder folder;
  std::string path = folder.file("vsock");
  unique_fd listener;

  void listen() {
    listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener.get(), 8) == 0);
  }

  /// The next connection that has said what it wants.
  unique_fd accept(asio::io_context& io) {
    unique_fd got;
    REQUIRE(run_until(io, [&] {
      got.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      return bool{got};
    }));
    return got;
  }
};

std::string read_some(asio::io_context& io, int fd) {
  std::array<char, 256> buffer{};
  ssize_t n = -1;
  REQUIRE(run_until(io, [&] {
    n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    return n >= 0;
  }));
  return {buffer.data(), static_cast<std::size_t>(n)};
}

void say(int fd, std::string_view what) {
  REQUIRE(::send(fd, what.data(), what.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(what.size()));
}

struct bench {
  asio::io_context io;
  device dev;
  std::optional<outcome<ttrpc::stream_socket>> result;

  std::shared_ptr<hybrid_dial> dial(milliseconds within, milliseconds per_try = seconds{10},
                                    std::function<outcome<void>()> alive = nullptr) {
    return hybrid_dial::start(io,
                              {.path = dev.path,
                               .port = 1024,
                               .deadline = monotonic_clock::now() + within,
                               .per_try = per_try,
                               .alive = std::move(alive)},
                              [this](outcome<ttrpc::stream_socket> got) {
                                REQUIRE_FALSE(result);
                                result.emplace(std::move(got));
                              });
  }
  failure wait_failure() {
    REQUIRE(run_until(io, [&] { return result.has_value(); }));
    REQUIRE_FALSE(*result);
    return result->error();
  }
};

bool contains(std::string_view text, std::string_view part) {
  CAPTURE(text, part);
  return text.find(part) != std::string_view::npos;
}

} // namespace

TEST_CASE("hybrid dial: says CONNECT, takes the OK line and not one byte of what follows") {
  bench b;
  b.dev.listen();
  b.dial(seconds{20});
  const auto fd = b.dev.accept(b.io);
  CHECK(read_some(b.io, fd.get()) == "CONNECT 1024\n");
  say(fd.get(), "OK 10");
  b.io.poll();
  CHECK_FALSE(b.result);
  say(fd.get(), "73741824\nearly bytes");
  REQUIRE(run_until(b.io, [&] { return b.result.has_value(); }));
  REQUIRE(*b.result);
  CHECK(read_some(b.io, (*b.result)->native_handle()) == "early bytes");
}

TEST_CASE("hybrid dial: a stream that ends before OK means not yet, and it tries again") {
  bench b;
  b.dial(seconds{20});
  CHECK(run_until(b.io, [] { return true; }));
  b.dev.listen();
  for (int i = 0; i < 3; ++i)
    static_cast<void>(read_some(b.io, b.dev.accept(b.io).get()));
  const auto fd = b.dev.accept(b.io);
  say(fd.get(), "OK 1\n");
  REQUIRE(run_until(b.io, [&] { return b.result.has_value(); }));
  CHECK(b.result->has_value());
}

TEST_CASE("hybrid dial: without a device it ends at its deadline, with stage and last reason") {
  bench b;
  b.dial(milliseconds{30});
  const auto why = b.wait_failure();
  CHECK(why.code == errc::deadline_exceeded);
  CHECK(contains(why.text, "dial guest port 1024 by " + b.dev.path + ": attempt "));
  CHECK(contains(why.text, ": connect: No such file or directory"));
}

TEST_CASE("hybrid dial: a device that never answers costs one try at a time") {
  bench b;
  b.dev.listen();
  b.dial(milliseconds{40}, milliseconds{5});
  const auto why = b.wait_failure();
  CHECK(why.code == errc::deadline_exceeded);
  CHECK(contains(why.text, "handshake: no answer"));
  CHECK_FALSE(contains(why.text, "attempt 1:"));
}

TEST_CASE("hybrid dial: another answer than OK, or an endless one, is the device's fault") {
  for (const std::string answer : {"ERR 5\n", "OK \n", "OK 12x\n", "OK 1 \n", "HTTP/1.1 200 OK\r\n",
                                   "OK 0000000000000000000000000000000000000"}) {
    CAPTURE(answer);
    bench b;
    b.dev.listen();
    b.dial(seconds{20});
    const auto fd = b.dev.accept(b.io);
    say(fd.get(), answer);
    const auto why = b.wait_failure();
    CHECK(why.code == errc::peer_fault);
    CHECK(contains(why.text, "handshake: the answer is not"));
  }
}

TEST_CASE("hybrid dial: when the machine is gone it stops at once and says so") {
  bench b;
  int asked = 0;
  b.dial(seconds{20}, seconds{10}, [&]() -> outcome<void> {
    if (++asked < 3)
      return {};
    return fail(errc::machine_gone, "qemu exited with status 1");
  });
  const auto why = b.wait_failure();
  CHECK(why.code == errc::machine_gone);
  CHECK(contains(why.text, "attempt 2: qemu exited with status 1"));
}

TEST_CASE("hybrid dial: called off, it answers cancelled and lets go of the socket") {
  bench b;
  b.dev.listen();
  const auto dial = b.dial(seconds{20});
  const auto fd = b.dev.accept(b.io);
  CHECK(read_some(b.io, fd.get()) == "CONNECT 1024\n");
  dial->cancel();
  CHECK(b.wait_failure().code == errc::cancelled);
  CHECK(read_some(b.io, fd.get()).empty());
  dial->cancel();
  b.io.restart();
  b.io.poll();
}

TEST_CASE("hybrid dial: a path that fits no socket address is refused without a try") {
  bench b;
  b.dev.path = "/" + std::string(200, 'x');
  b.dial(seconds{20});
  const auto why = b.wait_failure();
  CHECK(why.code == errc::invalid_argument);
  CHECK(contains(why.text, "201 bytes"));
}
