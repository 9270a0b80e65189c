#include "shim/event_forwarder.hpp"
#include "messages/ttrpc/server.hpp"
#include "tests/support/scratch.hpp"

#include <asio/local/stream_protocol.hpp>
#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

using namespace troupe;
using namespace troupe::shim;

namespace {

/// containerd's event service on a unix socket, on the same io_context: no thread, no sleep.
struct event_service {
  asio::io_context io;
  test::scratch_folder folder;
  std::string path = folder.file("sock");
  std::vector<std::string> taken;
  int refuse = 0; // this many calls fail first
  std::unique_ptr<ttrpc::server> server;

  void start() {
    std::filesystem::remove(path);
    unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd.get(), 8) == 0);
    server = std::make_unique<ttrpc::server>(io, ttrpc::server_options{});
    server->add("containerd.services.events.ttrpc.v1.Events", "Forward",
                [this](const ttrpc::request& call, ttrpc::reply reply) {
                  if (refuse > 0) {
                    --refuse;
                    return std::move(reply).send(fail(errc::internal, "not now"));
                  }
                  taken.push_back(call.payload);
                  std::move(reply).send(std::string{});
                });
    REQUIRE(server->listen(std::move(fd)));
  }

  std::shared_ptr<event_forwarder> forwarder() {
    forwarder_options options;
    options.socket = path;
    options.first_pause = milliseconds{1};
    return event_forwarder::make(io, options);
  }

  /// Runs until everything is delivered; the answer is what is left.
  std::size_t drain(event_forwarder& events, milliseconds patience = seconds{10}) {
    std::size_t left = 99;
    bool over = false;
    events.flush(patience, [&](std::size_t n) { left = n, over = true; });
    while (!over)
      io.run_one();
    return left;
  }
};

} // namespace

TEST_CASE("events: all reach containerd, once, in order") {
  event_service containerd;
  containerd.start();
  const auto events = containerd.forwarder();
  for (int i = 0; i < 20; ++i)
    events->push("/tasks/test", std::to_string(i));
  CHECK(containerd.drain(*events) == 0);
  REQUIRE(containerd.taken.size() == 20);
  for (int i = 0; i < 20; ++i)
    CHECK(containerd.taken[static_cast<std::size_t>(i)] == std::to_string(i));
}

TEST_CASE("events: a refused one is sent again before its successors") {
  event_service containerd;
  containerd.start();
  containerd.refuse = 3;
  const auto events = containerd.forwarder();
  events->push("/tasks/exit", "a");
  events->push("/tasks/delete", "b");
  CHECK(containerd.drain(*events) == 0);
  CHECK(containerd.taken == std::vector<std::string>{"a", "b"});
}

TEST_CASE("events: those of the time when containerd was down are delivered when it is back") {
  event_service containerd;
  const auto events = containerd.forwarder();
  events->push("/tasks/exit", "a");
  CHECK(containerd.drain(*events, milliseconds{5}) == 1);
  containerd.start();
  CHECK(containerd.drain(*events) == 0);
  CHECK(containerd.taken == std::vector<std::string>{"a"});
}

TEST_CASE("events: without a socket nothing waits") {
  asio::io_context io;
  const auto events = event_forwarder::make(io, {});
  events->push("/tasks/exit", "a");
  std::size_t left = 99;
  events->flush(seconds{1}, [&](std::size_t n) { left = n; });
  io.run();
  CHECK(left == 0);
}
