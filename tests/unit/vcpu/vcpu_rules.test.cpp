#include "actors/vcpu/run/control.hpp"
#include "actors/vcpu/run/dispatch.hpp"
#include "actors/vcpu/run/last_words.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <stdexcept>
#include <vector>

using namespace troupe;
using namespace troupe::vcpu;

namespace {

control in(phase where, command wanted) {
  control it;
  if (wanted != command::pause)
    REQUIRE(it.ask(wanted));
  it.reached(where);
  return it;
}

// Remembers accesses; reads answer 0x11 in the first byte and leave the rest alone.
class recorder final : public io_handler {
public:
  void port_read(std::uint16_t, std::span<std::byte> data) override {
    ++reads;
    data[0] = std::byte{0x11};
  }
  after_write port_write(std::uint16_t, std::span<const std::byte> data) override {
    widths.push_back(data.size());
    if (throws)
      throw std::runtime_error{"no such luck"};
    return widths.size() == stop_after ? after_write::stop : after_write::go_on;
  }
  void memory_read(gpa, std::span<std::byte>) override { ++reads; }
  after_write memory_write(gpa, std::span<const std::byte>) override {
    if (throws)
      throw 7; // NOLINT: not every handler throws what it should.
    return after_write::go_on;
  }

  int reads = 0;
  std::vector<std::size_t> widths;
  std::size_t stop_after = 0;
  bool throws = false;
};

} // namespace

TEST_CASE("vcpu control: a new processor, waits until it is told to run") {
  control it;
  CHECK(it.where() == phase::created);
  CHECK(it.next() == step::wait);
  CHECK_FALSE(it.obeyed());
  it.reached(phase::paused);
  CHECK(it.obeyed());
  REQUIRE(it.ask(command::run));
  CHECK(it.next() == step::enter_guest);
  CHECK_FALSE(it.obeyed());
  it.reached(phase::running);
  CHECK(it.obeyed());
}

TEST_CASE("vcpu control: every command in every phase, has its answer") {
  for (const auto where : {phase::created, phase::paused, phase::running})
    for (const auto what : {command::pause, command::run, command::end}) {
      auto it = in(where, command::pause);
      CHECK(it.ask(what));
      CHECK(it.wanted() == what);
    }
  auto parked = in(phase::parked, command::run);
  CHECK(parked.ask(command::run).error().code == errc::failed_precondition);
  CHECK(parked.ask(command::pause));
  CHECK(parked.obeyed());
  CHECK(parked.ask(command::end));
  CHECK_FALSE(parked.obeyed());
  CHECK(parked.ask(command::pause).error().text == "pause: the processor is ending");
  auto ended = in(phase::ended, command::pause);
  CHECK(ended.ask(command::run).error().text == "run: the processor has ended");
  CHECK(ended.ask(command::end));
  CHECK(ended.obeyed());
}

TEST_CASE("vcpu control: a pause that is taken back in time, never leaves the guest") {
  auto it = in(phase::running, command::run);
  REQUIRE(it.ask(command::pause));
  CHECK(it.next() == step::wait);
  REQUIRE(it.ask(command::run));
  CHECK(it.next() == step::enter_guest);
}

TEST_CASE("vcpu control: a parked processor, stays so until it ends") {
  auto it = in(phase::parked, command::run);
  CHECK(it.next() == step::wait);
  it.reached(phase::running);
  it.reached(phase::paused);
  CHECK(it.where() == phase::parked);
  REQUIRE(it.ask(command::end));
  CHECK(it.next() == step::leave);
  it.reached(phase::ended);
  it.reached(phase::parked);
  CHECK(it.where() == phase::ended);
}

TEST_CASE("vcpu dispatch: a string of port reads, is one zeroed element a call") {
  recorder io;
  counters count;
  std::array<std::byte, 6> data{};
  data.fill(std::byte{0xee});
  CHECK_FALSE(dispatch(kvm::port_exit{0x10, true, 2, data}, io, count));
  CHECK(io.reads == 3);
  CHECK(data == std::array{std::byte{0x11}, std::byte{0}, std::byte{0x11}, std::byte{0},
                           std::byte{0x11}, std::byte{0}});
  CHECK(count.pio_in == 1);
  CHECK(count.pio_out == 0);
}

TEST_CASE("vcpu dispatch: a string of port writes, ends at the element that stops the machine") {
  recorder io;
  io.stop_after = 2;
  counters count;
  std::array<std::byte, 16> data{};
  const auto end = dispatch(kvm::port_exit{0x64, false, 4, data}, io, count);
  REQUIRE(end);
  CHECK(end->reason == end_reason::handler_asked);
  CHECK(end->text == "write to port 0x64");
  CHECK(io.widths == std::vector<std::size_t>{4, 4});
}

TEST_CASE("vcpu dispatch: memory nobody serves, reads as zeros") {
  recorder io;
  counters count;
  std::array<std::byte, 8> data{};
  data.fill(std::byte{0xee});
  CHECK_FALSE(dispatch(kvm::memory_exit{0xd0000000, false, data}, io, count));
  CHECK(data == std::array<std::byte, 8>{});
  CHECK_FALSE(dispatch(kvm::memory_exit{0xd0000000, true, data}, io, count));
  CHECK(count.mmio_read == 1);
  CHECK(count.mmio_write == 1);
}

TEST_CASE("vcpu dispatch: what a handler throws, ends its processor by name") {
  recorder io;
  io.throws = true;
  counters count;
  std::array<std::byte, 1> data{};
  const auto known = dispatch(kvm::port_exit{0x3f8, false, 1, data}, io, count);
  REQUIRE(known);
  CHECK(known->reason == end_reason::handler_failed);
  CHECK(known->text == "write to port 0x3f8: no such luck");
  const auto unknown = dispatch(kvm::memory_exit{0xd0000000, true, data}, io, count);
  REQUIRE(unknown);
  CHECK(unknown->text == "write to address 0xd0000000: exception of unknown type");
}

TEST_CASE("vcpu dispatch: every end of a guest, has its reason") {
  recorder io;
  counters count;
  const auto reason = [&](const kvm::exit_event& exit) {
    return dispatch(exit, io, count).value().reason;
  };
  CHECK(reason(kvm::halt_exit{}) == end_reason::hlt_without_irqchip);
  CHECK(reason(kvm::shutdown_exit{}) == end_reason::shutdown);
  CHECK(reason(kvm::refused_entry_exit{0x21, 3}) == end_reason::refused_entry);
  CHECK(reason(kvm::internal_error_exit{}) == end_reason::internal_error);
  CHECK(reason(kvm::system_event_exit{2, 0}) == end_reason::system_event);
  CHECK(reason(kvm::unexpected_exit{4}) == end_reason::unexpected_exit);
  CHECK(dispatch(kvm::system_event_exit{2, 0}, io, count)->text == "reset");
  CHECK_FALSE(dispatch(kvm::irq_window_exit{}, io, count));
  CHECK_FALSE(dispatch(kvm::signal_exit{}, io, count));
  CHECK(count.irq_window == 1);
  CHECK(count.intr == 1);
  CHECK(count.hlt == 1);
}

TEST_CASE("vcpu: only port and memory accesses, leave an instruction open") {
  CHECK(leaves_instruction_open(kvm::port_exit{}));
  CHECK(leaves_instruction_open(kvm::memory_exit{}));
  CHECK_FALSE(leaves_instruction_open(kvm::halt_exit{}));
  CHECK_FALSE(leaves_instruction_open(kvm::internal_error_exit{}));
}

TEST_CASE("vcpu: last words, show registers and bytes in hex") {
  kvm_regs regs{};
  regs.rip = 0xfff0;
  kvm_sregs sregs{};
  sregs.cs.selector = 0xf000;
  sregs.cs.base = 0xffff0000;
  CHECK_THAT(describe(regs, sregs),
             Catch::StartsWith("rip=fff0 rflags=0 ") && Catch::Contains(" cs=f000/ffff0000 "));
  const std::array<std::byte, 2> code{std::byte{0x0f}, std::byte{0x0b}};
  CHECK(hex(code) == "0f 0b");
  CHECK(hex({}).empty());
}

TEST_CASE("vcpu: phases, commands and reasons, have names") {
  CHECK(name(phase::parked) == "parked");
  CHECK(name(command::run) == "run");
  for (int i = 0; i <= static_cast<int>(end_reason::start_failed); ++i)
    CHECK(name(static_cast<end_reason>(i)) != "unknown");
}
