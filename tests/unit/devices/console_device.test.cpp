#include "actors/devices/console/lines.hpp"
#include "actors/devices/virtio/console/device.hpp"
#include "tests/support/guest_ram.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <stdexcept>

using namespace troupe;
using namespace troupe::testing;

namespace {

constexpr milliseconds limit{5000};
constexpr gpa receive_at = 0x10000;
constexpr gpa transmit_at = 0x20000;
constexpr gpa data_at = 0x40000;

struct bench {
  bench() { activate(); }
  ~bench() {
    on_loop([&] { device->reset(); });
  }

  void on_loop(const std::function<void()>& what) { must(loop->run("test", what, limit)); }
  // All posted work is done.
  void settle() {
    for (int i = 0; i < 3; ++i)
      on_loop([] {});
  }
  void activate() {
    on_loop([&] {
      virtio::activation with;
      with.memory = ram.memory();
      with.queues = {queues[0].get(), queues[1].get()};
      with.loop = loop.get();
      with.failed = [this](failure why) { failed = std::move(why); };
      must(device->activate(std::move(with)));
    });
  }
  outcome<virtio::progress> kick(std::size_t index) {
    outcome<virtio::progress> result = virtio::progress::idle;
    on_loop([&] { result = device->process(index); });
    return result;
  }
  void print(std::uint16_t head, const std::string& text) {
    ram.put_text(data_at, text);
    transmit.add(head, {{data_at, static_cast<std::uint32_t>(text.size()), false}});
  }

  guest_ram ram;
  driver_ring receive{ram, receive_at, 64};
  driver_ring transmit{ram, transmit_at, 64};
  interrupt_counter irq;
  std::string heard;
  std::shared_ptr<console::port> port =
      std::make_shared<console::port>([this](std::string_view text) { heard += text; });
  std::unique_ptr<devices::worker> loop = devices::worker::start("test").value();
  std::array<std::unique_ptr<virtio::queue>, 2> queues{
      virtio::queue::attach(receive.state(), 256, ram.memory(), irq).value(),
      virtio::queue::attach(transmit.state(), 256, ram.memory(), irq).value()};
  std::unique_ptr<console::device> device = std::make_unique<console::device>(port);
  std::optional<failure> failed;
};

} // namespace

TEST_CASE("console device: what the guest prints, comes out in order") {
  bench b;
  b.print(0, "hello ");
  REQUIRE(b.kick(1));
  b.ram.put_text(data_at, "two parts");
  b.transmit.add(1, {{data_at, 3, false}, {data_at + 3, 6, false}});
  REQUIRE(b.kick(1));
  CHECK(b.heard == "hello two parts");
  CHECK(b.transmit.take_used() == used_entry{0, 0});
  CHECK(b.transmit.take_used() == used_entry{1, 0});
  CHECK(b.device->counters().bytes == 15);
}

TEST_CASE("console device: its output, fits the line cutter of the other hypervisors") {
  bench b;
  std::vector<std::string> lines;
  console::text_lines cutter{[&](const std::string& line) { lines.push_back(line); }};
  b.port = std::make_shared<console::port>([&](std::string_view text) { cutter.feed(text); });
  b.on_loop([&] { b.device->reset(); });
  b.device = std::make_unique<console::device>(b.port);
  b.activate();
  b.print(0, "one\ntw");
  b.print(1, "one\ntw"); // the same memory
  REQUIRE(b.kick(1));
  CHECK(lines == std::vector<std::string>{"one", "twone"});
}

TEST_CASE("console device: a chain that never ends, is cut and counted") {
  bench b;
  // 16 descriptors over the same 64 KiB: a megabyte.
  for (std::uint16_t i = 0; i < 16; ++i)
    b.transmit.describe(i, {data_at, 0x10000,
                            static_cast<std::uint16_t>(i < 15 ? virtio::descriptor_next : 0),
                            static_cast<std::uint16_t>(i + 1)});
  b.transmit.offer(0);
  REQUIRE(b.kick(1));
  CHECK(b.heard.size() == console::chain_bytes_max);
  CHECK(b.device->counters().errors == 1);
  CHECK(b.transmit.take_used() == used_entry{0, 0});
}

TEST_CASE("console device: a flooding guest, has no more than a turn at a time") {
  bench b;
  for (std::uint16_t i = 0; i < 40; ++i)
    b.print(i, "x");
  CHECK(b.kick(1).value() == virtio::progress::more);
  CHECK(b.heard.size() == console::chains_per_turn);
}

TEST_CASE("console device: typed input, reaches the guest when it has room") {
  bench b;
  REQUIRE(b.port->type("ls\n"));
  b.settle();
  CHECK_FALSE(b.receive.take_used());
  b.receive.add(0, {{data_at, 2, true}});
  b.receive.add(1, {{data_at + 16, 64, true}});
  REQUIRE(b.kick(0));
  CHECK(b.receive.take_used() == used_entry{0, 2});
  CHECK(b.receive.take_used() == used_entry{1, 1});
  CHECK(b.ram.text(data_at, 2) == "ls");
  CHECK(b.ram.text(data_at + 16, 1) == "\n");
  b.receive.add(2, {{data_at, 64, true}});
  REQUIRE(b.kick(0));
  CHECK_FALSE(b.receive.take_used());
  REQUIRE(b.port->type("ok")); // no kick: the room was there before
  b.settle();
  CHECK(b.receive.take_used() == used_entry{2, 2});
}

TEST_CASE("console device: more input than is held, is refused as a whole") {
  bench b;
  REQUIRE(b.port->type(std::string(console::input_max, 'x')));
  CHECK(b.port->type("y").error().code == errc::resource_exhausted);
  b.receive.add(0, {{data_at, 1, true}});
  REQUIRE(b.kick(0));
  CHECK(b.port->type("y"));
  CHECK(b.port->type("z").error().code == errc::resource_exhausted);
}

TEST_CASE("console device: input, outlives the logic") {
  bench b;
  REQUIRE(b.port->type("later"));
  b.on_loop([&] { b.device->reset(); });
  REQUIRE(b.port->type(", more"));
  b.device = std::make_unique<console::device>(b.port);
  b.receive.add(0, {{data_at, 64, true}});
  b.activate();
  b.settle();
  CHECK(b.receive.take_used() == used_entry{0, 11});
  CHECK(b.ram.text(data_at, 11) == "later, more");
}

TEST_CASE("console device: a receive buffer it may not write, is given back and loses nothing") {
  bench b;
  REQUIRE(b.port->type("x"));
  b.receive.add(0, {{data_at, 64, false}});
  b.receive.add(1, {{data_at, 64, true}});
  REQUIRE(b.kick(0));
  CHECK(b.receive.take_used() == used_entry{0, 0});
  CHECK(b.receive.take_used() == used_entry{1, 1});
  CHECK(b.device->counters().errors == 1);
}

TEST_CASE("console device: output that keeps killing the logic, is dropped") {
  bench b;
  b.port =
      std::make_shared<console::port>([](std::string_view) { throw std::runtime_error("poison"); });
  b.on_loop([&] { b.device->reset(); });
  b.device = std::make_unique<console::device>(b.port);
  b.activate();
  b.print(0, "bad");
  for (int i = 0; i < virtio::max_attempts; ++i)
    b.on_loop([&] {
      CHECK_THROWS(b.device->process(1));
      b.queues[1]->requeue_taken();
    });
  REQUIRE(b.kick(1));
  CHECK(b.transmit.take_used() == used_entry{0, 0});
}

TEST_CASE("console device: paused, it touches no ring until it is resumed") {
  bench b;
  b.on_loop([&] { b.device->pause(); });
  b.print(0, "x");
  b.receive.add(0, {{data_at + 64, 8, true}});
  REQUIRE(b.port->type("y"));
  REQUIRE(b.kick(0));
  REQUIRE(b.kick(1));
  CHECK(b.heard.empty());
  CHECK_FALSE(b.receive.take_used());
  b.on_loop([&] { must(b.device->resume(b.ram.memory())); });
  REQUIRE(b.kick(1));
  b.settle();
  CHECK(b.heard == "x");
  CHECK(b.receive.take_used() == used_entry{0, 1});
}
