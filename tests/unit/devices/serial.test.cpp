#include "actors/devices/legacy/serial/device.hpp"

#include "actors/devices/console/console_log.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <string>
#include <thread>
#include <vector>

using namespace troupe;
using legacy::serial;

namespace {

class edges final : public bus::irq_line {
public:
  explicit edges(int& count) : count_(count) {}
  void raise() noexcept override { ++count_; }

private:
  int& count_;
};

// The port as a driver sees it.
struct bench {
  std::uint8_t in(std::uint64_t offset) {
    std::byte it{};
    port.read(offset, {&it, 1});
    return std::to_integer<std::uint8_t>(it);
  }
  void out(std::uint64_t offset, int value) {
    const auto it = static_cast<std::byte>(value);
    port.write(offset, {&it, 1});
  }
  void print(std::string_view text) {
    for (const auto c : text)
      out(0, c);
  }

  std::string sent;
  int irqs = 0;
  int rooms = 0;
  serial port{{.irq = std::make_unique<edges>(irqs),
               .output = [this](std::string_view text) { sent += text; },
               .room = [this] { ++rooms; }}};
};

} // namespace

TEST_CASE("serial: what is sent, is gone at once") {
  bench b;
  CHECK(b.in(5) == 0x60);
  b.print("hello\n");
  CHECK(b.sent == "hello\n");
  CHECK(b.in(5) == 0x60);
  CHECK(b.irqs == 0);
}

TEST_CASE("serial: a driver finds a 16550A with working modem lines") {
  bench b;
  b.out(7, 0x5a); // Scratch.
  CHECK(b.in(7) == 0x5a);
  b.out(1, 0xff);
  CHECK(b.in(1) == 0x0f); // Four kinds of interrupt, nothing else sticks.
  b.out(1, 0);
  CHECK((b.in(2) & 0xc0) == 0);
  b.out(2, 0x01);
  CHECK(b.in(2) == 0xc1);
  CHECK(b.in(6) == 0xb0); // A terminal is there.
  b.out(4, 0x10 | 0x0a);  // Loopback with RTS and OUT2.
  CHECK((b.in(6) & 0xf0) == 0x90);
  b.out(4, 0xff);
  CHECK(b.in(4) == 0x1f);
}

TEST_CASE("serial: the divisor hides behind its latch") {
  bench b;
  b.out(3, 0x83);
  b.out(0, 0x0c);
  b.out(1, 0x01);
  CHECK(b.in(0) == 0x0c);
  CHECK(b.in(1) == 0x01);
  b.out(3, 0x03);
  CHECK(b.in(3) == 0x03);
  CHECK(b.in(1) == 0);
  CHECK(b.sent.empty());
}

TEST_CASE("serial: the transmitter's interrupt, comes once a wish or a byte and ends when read") {
  bench b;
  b.out(1, 0x02);
  CHECK(b.irqs == 1);
  CHECK(b.in(2) == 0x02);
  CHECK(b.in(2) == 0x01);
  b.print("xyz");
  CHECK(b.irqs == 2); // The pin stays up, so there is one edge.
  CHECK(b.in(2) == 0x02);
  b.print("x");
  CHECK(b.irqs == 3);
  b.out(1, 0);
  CHECK(b.in(2) == 0x01);
}

TEST_CASE("serial: input interrupts, is read in order and does not overflow") {
  bench b;
  b.out(2, 0x01);
  b.out(1, 0x01);
  CHECK(b.port.input("0123456789abcdefXYZ") == 16);
  CHECK(b.irqs == 1);
  CHECK(b.port.input("!") == 0);
  CHECK(b.in(2) == 0xc4);
  CHECK(b.in(5) == 0x61);
  std::string got;
  while ((b.in(5) & 1) != 0)
    got += static_cast<char>(b.in(0));
  CHECK(got == "0123456789abcdef");
  CHECK(b.rooms == 1);
  CHECK(b.in(2) == 0xc1);
  CHECK(b.port.input("more") == 4);
  CHECK(b.irqs == 2);
  b.out(2, 0x03); // Clears what was received.
  CHECK(b.in(5) == 0x60);
  CHECK(b.in(0) == 0);
  CHECK(b.rooms == 1);
}

TEST_CASE("serial: without its buffer, it holds one byte") {
  bench b;
  CHECK(b.port.input("ab") == 1);
  CHECK(b.in(0) == 'a');
  CHECK(b.rooms == 1);
}

TEST_CASE("serial: in loopback, bytes come back and an overrun is told once") {
  bench b;
  b.out(4, 0x10);
  b.out(1, 0x04);
  b.print("pq");
  CHECK(b.sent.empty());
  CHECK(b.irqs == 1);
  CHECK(b.in(2) == 0x06);
  CHECK(b.in(5) == 0x63);
  CHECK(b.in(5) == 0x61);
  CHECK(b.in(0) == 'p');
  CHECK(b.port.input("z") == 0);
}

TEST_CASE("serial: modem lines that change, interrupt and are told once") {
  bench b;
  b.out(4, 0x10);
  (void)b.in(6);
  b.out(1, 0x08);
  b.out(4, 0x11); // DTR comes back as DSR.
  CHECK(b.irqs == 1);
  CHECK(b.in(2) == 0x00);
  CHECK(b.in(6) == 0x22);
  CHECK(b.in(6) == 0x20);
  b.out(4, 0x15); // The beginning of a ring is nothing to tell.
  CHECK(b.in(6) == 0x60);
  b.out(4, 0x11);
  CHECK(b.in(6) == 0x24);
}

TEST_CASE("serial: wide accesses are so many narrow ones") {
  bench b;
  b.out(7, 0x77);
  std::array<std::byte, 8> all{};
  b.port.read(0, all);
  CHECK(all[2] == std::byte{0x01});
  CHECK(all[5] == std::byte{0x60});
  CHECK(all[7] == std::byte{0x77});
}

TEST_CASE("serial: an output that throws, does not stop the guest") {
  serial port{{.irq = nullptr,
               .output = [](std::string_view) { throw std::runtime_error("full"); },
               .room = nullptr}};
  const std::byte byte{'x'};
  port.write(0, {&byte, 1});
  std::byte status{};
  port.read(5, {&status, 1});
  CHECK(status == std::byte{0x60});
}

TEST_CASE("serial: a guest's boot text, ends up as harmless lines") {
  console::console_log lines{4};
  serial port{{.irq = nullptr,
               .output = [&](std::string_view text) { lines.feed(text); },
               .room = nullptr}};
  for (const char c : std::string{"[ 0.0] Linux\r\n\033[2Jx\r\n"}) {
    const auto byte = static_cast<std::byte>(c);
    port.write(0, {&byte, 1});
  }
  CHECK(lines.tail() == std::vector<std::string>{"[ 0.0] Linux", ".[2Jx"});
}

TEST_CASE("serial: two processors and the host's input at once, lose nothing") {
  std::size_t sent = 0;
  serial port{{.irq = nullptr,
               .output = [&](std::string_view text) { sent += text.size(); },
               .room = nullptr}};
  const std::byte fifo{1};
  port.write(2, {&fifo, 1});
  std::thread other{[&] {
    for (int i = 0; i < 5000; ++i) {
      const std::byte byte{'b'};
      port.write(0, {&byte, 1});
    }
  }};
  std::size_t put = 0;
  std::size_t got = 0;
  for (int i = 0; i < 5000; ++i) {
    put += port.input("x");
    std::byte status{};
    port.read(5, {&status, 1});
    std::byte data{};
    port.read(0, {&data, 1});
    got += data == std::byte{'x'} ? 1 : 0;
  }
  other.join();
  CHECK(sent == 5000);
  CHECK(put == got);
}
