#include "actors/devices/virtio/vsock/device.hpp"

#include "actors/devices/unix_socket.hpp"
#include "tests/support/guest_ram.hpp"

#include <catch2/catch.hpp>

#include <poll.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <future>
#include <string>
#include <thread>

using namespace troupe;
using namespace troupe::vsock;
using namespace troupe::testing;

namespace {

constexpr milliseconds limit{5000};
constexpr std::uint64_t cid = 3;
constexpr gpa receive_at = 0x10000;
constexpr gpa transmit_at = 0x20000;
constexpr gpa event_at = 0x30000;
constexpr gpa buffers_at = 0x40000;
constexpr gpa packet_at = 0x80000;

class signal_interrupt final : public virtio::interrupt {
public:
  void raise() noexcept override {}
};

// The device on a worker, its rings driven by hand. The test calls it on the worker only.
struct bench {
  bench() { activate(); }
  ~bench() {
    on_loop([&] { device->reset(); });
  }

  void on_loop(const std::function<void()>& what) { must(loop->run("test", what, limit)); }

  void activate() {
    on_loop([&] {
      std::vector<virtio::queue*> lent;
      for (auto* ring : {&receive, &transmit, &events}) {
        queues.push_back(virtio::queue::attach(ring->state(), 1024, ram.memory(), irq).value());
        lent.push_back(queues.back().get());
      }
      virtio::activation with;
      with.memory = ram.memory();
      with.queues = lent;
      with.loop = loop.get();
      with.failed = [this](failure why) { failed.set_value(std::move(why)); };
      must(device->activate(std::move(with)));
    });
  }

  outcome<virtio::progress> kick(std::size_t index) {
    outcome<virtio::progress> result = virtio::progress::idle;
    on_loop([&] { result = device->process(index); });
    return result;
  }

  header packet(operation op, std::uint32_t length = 0) const {
    header it;
    it.source_cid = cid;
    it.target_cid = host_cid;
    it.source_port = 1234;
    it.target_port = 80;
    it.op = op;
    it.length = length;
    it.buffer_size = 65536;
    return it;
  }
  void transmit_packet(const header& it, std::uint32_t bytes = header_bytes) {
    ram.put(packet_at, encode(it));
    transmit.add(next++ % 8, {{packet_at, bytes, false}});
  }
  void post_receive(std::uint16_t head, std::uint32_t size = 4096) {
    receive.add(head, {{buffers_at + 4096ULL * head, size, true}});
  }
  std::optional<header> received() {
    const auto used = receive.take_used();
    if (!used)
      return std::nullopt;
    return decode(ram.get<header_image>(buffers_at + 4096ULL * used->head));
  }

  std::string path =
      (std::filesystem::temp_directory_path() / ("troupe-vsock-" + std::to_string(::getpid())))
          .string();
  guest_ram ram;
  driver_ring receive{ram, receive_at, 8};
  driver_ring transmit{ram, transmit_at, 8};
  driver_ring events{ram, event_at, 8};
  signal_interrupt irq;
  std::unique_ptr<devices::worker> loop = devices::worker::start("test").value();
  std::shared_ptr<endpoint> where = endpoint::listen(path).value();
  std::vector<std::unique_ptr<virtio::queue>> queues;
  std::promise<failure> failed;
  std::unique_ptr<vsock::device> device = std::make_unique<vsock::device>(cid, where);
  std::uint16_t next = 0;
};

} // namespace

TEST_CASE("vsock device: the guest's CID, in its configuration and zeros behind it") {
  bench b;
  std::array<std::byte, 12> config{};
  config.fill(std::byte{0xff});
  b.device->read_config(0, config);
  CHECK(config[0] == std::byte{3});
  CHECK(std::all_of(config.begin() + 1, config.end(), [](auto it) { return it == std::byte{0}; }));
  b.device->read_config(0xffff'ffff, config);
  CHECK(config[0] == std::byte{0});
  CHECK(b.device->write_config(0, config).error().code == errc::guest_fault);
}

TEST_CASE("vsock device: a request to nobody, comes back as a reset once there is room") {
  bench b;
  b.transmit_packet(b.packet(operation::request));
  REQUIRE(b.kick(1));
  CHECK(b.transmit.take_used() == used_entry{0, 0});
  CHECK_FALSE(b.received());
  b.post_receive(0);
  REQUIRE(b.kick(0));
  const auto it = b.received();
  REQUIRE(it);
  CHECK(it->op == operation::reset);
  CHECK(b.receive.used_at(0) == used_entry{0, header_bytes});
}

TEST_CASE("vsock device: a header that changes while it is read, is answered at most once") {
  bench b;
  for (std::uint16_t head = 0; head < 8; ++head)
    b.post_receive(head);
  auto good = b.packet(operation::request);
  auto bad = b.packet(operation::data, 0xffff'ffff);
  bad.target_cid = 77; // a foreign CID is dropped without an answer
  std::atomic<bool> over{false};
  std::thread liar{[&] {
    for (std::size_t i = 0; !over; ++i)
      b.ram.put(packet_at, encode(i % 2 == 0 ? good : bad));
  }};
  constexpr int packets = 2000;
  std::size_t answers = 0;
  for (int i = 0; i < packets; ++i) {
    b.transmit.add(static_cast<std::uint16_t>(b.next++ % 8), {{packet_at, header_bytes, false}});
    CHECK(b.kick(1));
    CHECK(b.kick(0));
    while (const auto used = b.transmit.take_used())
      CHECK(used->written == 0);
    while (const auto used = b.receive.take_used()) {
      const auto it = decode(b.ram.get<header_image>(buffers_at + 4096ULL * used->head));
      CHECK((it.op == operation::reset && it.length == 0 && it.target_cid == cid));
      b.post_receive(static_cast<std::uint16_t>(used->head));
      ++answers;
    }
  }
  over = true;
  liar.join();
  CHECK(answers <= packets);
}

TEST_CASE("vsock device: a packet shorter than a header, is dropped and its chain returned") {
  bench b;
  b.transmit_packet(b.packet(operation::request), header_bytes - 1);
  REQUIRE(b.kick(1));
  CHECK(b.transmit.take_used() == used_entry{0, 0});
  CHECK(b.device->counters().errors == 1);
  b.post_receive(0);
  REQUIRE(b.kick(0));
  CHECK_FALSE(b.received());
}

TEST_CASE(
    "vsock device: a length beyond the descriptors, is answered by a reset and reads nothing") {
  bench b;
  b.transmit_packet(b.packet(operation::data, 0xffff'ffff));
  b.post_receive(0);
  REQUIRE(b.kick(1));
  CHECK(b.device->counters().errors == 1);
  CHECK(b.device->counters().bytes == 0);
  const auto it = b.received();
  REQUIRE(it);
  CHECK(it->op == operation::reset);
}

TEST_CASE("vsock device: a receive buffer without room for data, is a lie of the guest") {
  bench b;
  b.post_receive(0, header_bytes);
  b.transmit_packet(b.packet(operation::request));
  const auto it = b.kick(1);
  REQUIRE_FALSE(it);
  CHECK(it.error().code == errc::guest_fault);
  CHECK_THAT(it.error().text, Catch::Contains("receive buffer of 44 bytes"));
}

TEST_CASE("vsock device: a packet that keeps killing the logic, is answered by a reset") {
  bench b;
  b.post_receive(0);
  b.transmit_packet(b.packet(operation::credit_request));
  b.on_loop([&] {
    virtio::chain chain;
    for (int i = 0; i < virtio::max_attempts; ++i) {
      REQUIRE(b.queues[1]->pop(chain).value()); // As logic that died with it in hand.
      b.queues[1]->requeue_taken();
    }
  });
  REQUIRE(b.kick(1));
  CHECK(b.device->counters().errors == 1);
  CHECK(b.transmit.take_used() == used_entry{0, 0});
  const auto it = b.received();
  REQUIRE(it);
  CHECK(it->op == operation::reset);
}

TEST_CASE("vsock device: more resets than the guest takes, stop its transmit ring until it does") {
  bench b;
  std::size_t sent = 0;
  for (; sent < 2 * resets_max; ++sent) {
    b.transmit_packet(b.packet(operation::data));
    REQUIRE(b.kick(1));
    if (!b.transmit.take_used())
      break;
  }
  CHECK(sent == resets_max);
  b.post_receive(0);
  REQUIRE(b.kick(0).value() == virtio::progress::more);
  REQUIRE(b.kick(1));
  CHECK(b.transmit.take_used()); // The one that had to wait.
}

TEST_CASE("vsock device: paused, it touches no ring until it is resumed") {
  bench b;
  b.on_loop([&] { b.device->pause(); });
  b.transmit_packet(b.packet(operation::request));
  REQUIRE(b.kick(1));
  CHECK_FALSE(b.transmit.take_used());
  b.on_loop([&] { must(b.device->resume(b.ram.memory())); });
  REQUIRE(b.kick(1));
  CHECK(b.transmit.take_used());
}

TEST_CASE("vsock device: new logic over live connections, resets them, and no event would "
          "reset the next ones as well") {
  bench b;
  b.where->ledger.live = {{80, 1234}};
  b.on_loop([&] { b.device->reset(); });
  b.events.add(0, {{packet_at, 4, true}});
  b.ram.put(packet_at, std::uint32_t{0xffff'ffff});
  b.post_receive(0);
  b.queues.clear();
  b.device = std::make_unique<vsock::device>(cid, b.where);
  b.activate();
  REQUIRE(b.kick(0));
  CHECK_FALSE(b.events.take_used());
  const auto it = b.received();
  REQUIRE(it);
  CHECK(it->op == operation::reset);
  CHECK(it->target_port == 1234);
  CHECK(b.where->ledger.live.empty());
}

TEST_CASE("vsock device: a host client that says no port, or too much, is hung up on") {
  bench b;
  for (const std::string line : {"HELLO\n", "CONNECT 1024 and more than thirty-two bytes\n"}) {
    const auto client = devices::connect_unix(b.path).value();
    REQUIRE(::write(client.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    pollfd end{client.get(), POLLIN, 0};
    REQUIRE(::poll(&end, 1, static_cast<int>(limit.count())) == 1);
    char byte = 0;
    CHECK(::read(client.get(), &byte, 1) <= 0);
  }
  b.post_receive(0);
  REQUIRE(b.kick(0));
  CHECK_FALSE(b.received());
}
