#include "actors/devices/bus/address_space.hpp"
#include "actors/devices/legacy/exit_port/device.hpp"
#include "actors/devices/legacy/i8042/device.hpp"
#include "actors/devices/legacy/pvpanic/device.hpp"
#include "actors/devices/legacy/rtc/device.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <vector>

using namespace troupe;
using namespace troupe::legacy;

namespace {

std::uint8_t in(bus::target& from, std::uint64_t offset) {
  std::byte it{};
  from.read(offset, {&it, 1});
  return std::to_integer<std::uint8_t>(it);
}

void out(bus::target& to, std::uint64_t offset, int value) {
  const auto it = static_cast<std::byte>(value);
  to.write(offset, {&it, 1});
}

std::uint8_t cmos(bus::target& from, int index) {
  out(from, 0, index);
  return in(from, 1);
}

// Friday, 13 December 2024, 23:59:58 UTC.
constexpr wall_time some_time{std::chrono::seconds{1734134398}};

} // namespace

TEST_CASE("i8042: the reset command, resets") {
  int resets = 0;
  i8042 it{[&] { ++resets; }};
  CHECK((in(it, 4) & 0x02) == 0); // Always ready for a command.
  out(it, 0, 0xfe);               // To the keyboard: nothing.
  CHECK(resets == 0);
  out(it, 4, 0xfe);
  CHECK(resets == 1);
  out(it, 4, 0xd1);
  out(it, 0, 0x03);
  CHECK(resets == 1);
  out(it, 4, 0xd1);
  out(it, 0, 0x02); // The output port's reset line pulled down.
  CHECK(resets == 2);
}

TEST_CASE("i8042: tests and configuration, answer once each") {
  i8042 it{[] {}};
  const auto ask = [&](int command) {
    out(it, 4, command);
    CHECK((in(it, 4) & 0x01) == 1);
    const auto answer = in(it, 0);
    CHECK((in(it, 4) & 0x01) == 0);
    return answer;
  };
  CHECK(ask(0xaa) == 0x55);
  CHECK(ask(0xab) == 0x00);
  CHECK(ask(0xa9) == 0x00);
  CHECK(ask(0xd0) == 0x03);
  out(it, 4, 0x60);
  out(it, 0, 0x47);
  CHECK(ask(0x20) == 0x47);
  CHECK(in(it, 0) == 0);
  out(it, 4, 0xad); // Unknown or without effect: nothing comes.
  CHECK((in(it, 4) & 0x09) == 0x08);
}

TEST_CASE("i8042: the timer behind the speaker's port, is always up") {
  i8042 it{[] {}};
  CHECK(in(it, 1) == 0x20);
  out(it, 1, 0xff);
  CHECK(in(it, 1) == 0x20);
}

TEST_CASE("rtc: the time, in packed decimal and in binary") {
  rtc it{[] { return some_time; }};
  CHECK(cmos(it, 0x00) == 0x58);
  CHECK(cmos(it, 0x02) == 0x59);
  CHECK(cmos(it, 0x04) == 0x23);
  CHECK(cmos(it, 0x06) == 0x06);
  CHECK(cmos(it, 0x07) == 0x13);
  CHECK(cmos(it, 0x08) == 0x12);
  CHECK(cmos(it, 0x09) == 0x24);
  CHECK(cmos(it, 0x32) == 0x20);
  CHECK(cmos(it, 0x0b) == 0x02);
  out(it, 1, 0xf6); // Binary, and interrupts that nobody gets.
  CHECK(cmos(it, 0x0b) == 0x06);
  CHECK(cmos(it, 0x00) == 58);
  CHECK(cmos(it, 0x04) == 23);
  CHECK(cmos(it, 0x09) == 24);
  CHECK(cmos(it, 0x32) == 20);
}

TEST_CASE("rtc: no update is ever in progress, and the clock goes on") {
  auto now = some_time;
  rtc it{[&] { return now; }};
  CHECK((cmos(it, 0x0a) & 0x80) == 0);
  out(it, 1, 0xff);
  CHECK((cmos(it, 0x0a) & 0x80) == 0);
  CHECK(cmos(it, 0x0c) == 0);
  CHECK(cmos(it, 0x0d) == 0x80);
  now += std::chrono::seconds{2};
  CHECK(cmos(it, 0x00) == 0x00);
  CHECK(cmos(it, 0x07) == 0x14);
  CHECK(cmos(it, 0x06) == 0x07);
}

TEST_CASE("rtc: its memory is kept, its time is not set") {
  rtc it{[] { return some_time; }};
  out(it, 0, 0x0f | 0x80); // The top bit of the index is not an address.
  out(it, 1, 0x0a);
  CHECK(cmos(it, 0x0f) == 0x0a);
  CHECK(cmos(it, 0x7f) == 0);
  out(it, 0, 0x00);
  out(it, 1, 0x11);
  CHECK(cmos(it, 0x00) == 0x58);
  CHECK(in(it, 0) == 0x00);
}

TEST_CASE("exit port: the first write ends the machine with its code") {
  std::vector<std::uint32_t> codes;
  exit_port it{[&](std::uint32_t code) { codes.push_back(code); }};
  std::array<std::byte, 4> code{};
  bus::store(0x1234, code);
  it.write(0, code);
  out(it, 0, 7);
  CHECK(codes == std::vector<std::uint32_t>{0x1234});
  CHECK(in(it, 0) == 0);
}

TEST_CASE("pvpanic: a guest that panics is heard, rubbish is not") {
  std::vector<panic_event> heard;
  pvpanic it{[&](panic_event what) { heard.push_back(what); }};
  CHECK(in(it, 0) == 3);
  out(it, 0, 0xfc);
  CHECK(heard.empty());
  out(it, 0, 2);
  out(it, 0, 1);
  CHECK(heard == std::vector<panic_event>{panic_event::crash_loaded, panic_event::panicked});
}

TEST_CASE("legacy devices: on one bus, none is in another's way") {
  bus::address_space ports{bus::space::pio};
  const auto nothing = [](auto...) {};
  CHECK(ports.add(i8042_port, i8042_ports, std::make_shared<i8042>(nothing)));
  CHECK(ports.add(rtc_port, rtc_ports, std::make_shared<rtc>([] { return some_time; })));
  CHECK(ports.add(exit_port_at, exit_ports, std::make_shared<exit_port>(nothing)));
  CHECK(ports.add(pvpanic_port, pvpanic_ports, std::make_shared<pvpanic>(nothing)));
  std::array<std::byte, 1> it{};
  ports.read(pvpanic_port, it);
  CHECK(it[0] == std::byte{3});
}
