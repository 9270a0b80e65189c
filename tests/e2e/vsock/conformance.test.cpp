// What a Linux guest and host clients may expect of our vsock device, whatever the transport.
#include "tests/e2e/vsock/client.hpp"
#include "tests/e2e/vsock/machine.hpp"
#include "tests/e2e/vsock/services.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace troupe::testing;

namespace {

constexpr std::size_t chunk = 256U << 10U;

std::size_t bulk_bytes() {
  return machine().scale().bulk_bytes;
}

vsock_client to_guest(std::uint32_t port) {
  vsock_client client{machine().socket_path(), port};
  for (int i = 1; i < machine().scale().dials && !client.connected(); ++i)
    client = vsock_client{machine().socket_path(), port};
  return client;
}

const std::string& pattern_block() {
  static const auto block = [] {
    std::string bytes(pattern_period + chunk, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<char>(pattern(i));
    return bytes;
  }();
  return block;
}

std::string echoed(const std::string& text) {
  auto client = to_guest(port_echo);
  REQUIRE(client.connected());
  client.send(text);
  client.end_writing();
  return client.rest();
}

} // namespace

TEST_CASE("vsock: a host client connects, gets its own port and its echo") {
  auto client = to_guest(port_echo);
  REQUIRE(client.connected());
  CHECK(std::stoul(client.greeting().substr(3)) >= 0x4000'0000);
  client.send("one\n");
  CHECK(client.line() == "one");
  client.send("two\n");
  CHECK(client.line() == "two");
}

TEST_CASE("vsock: a port nobody listens on, the client is hung up on") {
  const vsock_client client{machine().socket_path(), port_nobody};
  CHECK_FALSE(client.connected());
  CHECK(client.greeting().empty());
}

TEST_CASE("vsock: the host ends its direction, the guest's answer still arrives") {
  CHECK(echoed("half\nclosed") == "half\nclosed");
}

TEST_CASE("vsock: the guest ends its direction, the host's bytes still arrive") {
  {
    auto client = to_guest(port_half_close);
    REQUIRE(client.connected());
    CHECK(client.line() == "bye");
    char byte = 0;
    CHECK(client.read_some(&byte, 1) == 0);
    client.send("after the end");
    client.end_writing();
  }
  std::string count;
  for (int tries = 0; tries < 100 && count != "13"; ++tries)
    count = to_guest(port_count).line();
  CHECK(count == "13");
}

TEST_CASE("vsock: bulk to the guest arrives whole and in order") {
  auto client = to_guest(port_sink);
  REQUIRE(client.connected());
  for (std::size_t done = 0; done < bulk_bytes(); done += chunk)
    client.send(pattern_block().substr(done % pattern_period, chunk));
  client.end_writing();
  CHECK(client.line() == std::to_string(bulk_bytes()) + " 0");
}

TEST_CASE("vsock: bulk from the guest arrives whole and in order") {
  auto client = to_guest(port_source);
  REQUIRE(client.connected());
  client.send(std::to_string(bulk_bytes()) + "\n");
  std::vector<char> buffer(chunk);
  std::size_t count = 0;
  std::size_t errors = 0;
  for (;;) {
    const auto n = client.read_some(buffer.data(), buffer.size());
    if (n <= 0)
      break;
    const auto got = static_cast<std::size_t>(n);
    const auto expected = pattern_block().substr(count % pattern_period, got);
    errors += std::string_view(buffer.data(), got) == expected ? 0 : 1;
    count += got;
  }
  CHECK(count == bulk_bytes());
  CHECK(errors == 0);
}

TEST_CASE("vsock: a reader that pauses stops its own stream only") {
  auto slow = to_guest(port_source);
  REQUIRE(slow.connected());
  slow.send(std::to_string(4U << 20U) + "\n"); // Far more than all buffers on the way hold.
  CHECK(echoed("still here") == "still here");
  CHECK(slow.rest(8U << 20U).size() == 4U << 20U);
}

TEST_CASE("vsock: many connections at once, each with its own bytes") {
  std::vector<std::unique_ptr<vsock_client>> clients;
  for (std::size_t i = 0; i < machine().scale().connections; ++i)
    clients.push_back(std::make_unique<vsock_client>(to_guest(port_echo)));
  for (std::size_t i = 0; i < clients.size(); ++i) {
    REQUIRE(clients[i]->connected());
    clients[i]->send("client " + std::to_string(i) + "\n");
  }
  for (std::size_t i = 0; i < clients.size(); ++i)
    CHECK(clients[i]->line() == "client " + std::to_string(i));
}

TEST_CASE("vsock: the guest connects to the host") {
  vsock_host_listener listener{machine().socket_path(), 7000};
  auto control = to_guest(port_dial);
  REQUIRE(control.connected());
  control.send("7000\n");
  const auto guest = listener.accept();
  CHECK(read_line(guest.get()) == "hello host");
  write_all(guest.get(), "hello guest\n");
  CHECK(control.line() == "hello guest");
}

TEST_CASE("vsock: the guest connects where nobody listens, it is reset") {
  auto control = to_guest(port_dial);
  REQUIRE(control.connected());
  control.send("7001\n");
  CHECK(control.line() == "error 104"); // ECONNRESET
}

TEST_CASE("vsock: new device logic in the middle of traffic, old connections are reset, new ones "
          "work") {
  auto busy = to_guest(port_source);
  auto idle = to_guest(port_echo);
  REQUIRE(busy.connected());
  REQUIRE(idle.connected());
  busy.send(std::to_string(bulk_bytes()) + "\n");
  std::vector<char> buffer(chunk);
  REQUIRE(busy.read_some(buffer.data(), buffer.size()) > 0);
  const auto broken_before = std::stoul(to_guest(port_broken).line());

  machine().replace_device();

  CHECK(idle.rest().empty());
  std::size_t got = 0;
  for (auto n = busy.read_some(buffer.data(), buffer.size()); n > 0;
       n = busy.read_some(buffer.data(), buffer.size()))
    got += static_cast<std::size_t>(n);
  CHECK(got < bulk_bytes());
  CHECK(echoed("new logic") == "new logic");
  auto broken = broken_before;
  for (int tries = 0; tries < 100 && broken == broken_before; ++tries)
    broken = std::stoul(to_guest(port_broken).line());
  CHECK(broken > broken_before); // The guest's writer was told.
  CHECK(machine().alive());
}
