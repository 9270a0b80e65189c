#include "actors/devices/virtio/queue.hpp"

#include "tests/support/guest_ram.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::virtio;
using namespace troupe::testing;

namespace {

constexpr gpa ring_at = 0x10000;
constexpr gpa data_at = 0x40000;
constexpr gpa ram_end = 0x100000;

// A ring of eight, and the device's queue over it.
struct bench {
  explicit bench(bool event_index = false, std::uint16_t start = 0) {
    auto state = ring.state();
    state.event_index = event_index;
    state.indirect = true;
    state.next_available = state.next_used = start;
    ring.set_index(start);
    it = queue::attach(state, 8, ram.memory(), irq).value();
  }

  guest_ram ram;
  driver_ring ring{ram, ring_at, 8};
  interrupt_counter irq;
  std::unique_ptr<queue> it;
  chain out;
};

// What a dead queue says, again and again: it never loops and never recovers by itself.
void check_dead(bench& b, const std::string& why) {
  const auto first = b.it->pop(b.out);
  REQUIRE_FALSE(first);
  CHECK(first.error().code == errc::guest_fault);
  CHECK_THAT(first.error().text, Catch::Contains(why));
  CHECK(b.it->pop(b.out).error() == first.error());
  CHECK_FALSE(b.it->rearm());
  b.it->notify();
  CHECK(b.irq.count == 0);
}

} // namespace

TEST_CASE("queue: a chain of readable and writable buffers, is handed out in order") {
  bench b;
  b.ram.put_text(data_at, "head");
  b.ram.put_text(data_at + 0x1000, "payload");
  b.ring.add(2, {{data_at, 4, false}, {data_at + 0x1000, 7, false}, {data_at + 0x2000, 16, true}});
  REQUIRE(b.it->pop(b.out).value());
  CHECK(b.out.head == 2);
  CHECK(b.out.readable().size() == 2);
  CHECK(b.out.writable().size() == 1);
  CHECK(b.out.readable_bytes == 11);
  CHECK(b.out.writable_bytes == 16);
  std::array<char, 11> text{};
  CHECK(b.out.read(0, std::as_writable_bytes(std::span{text})) == 11);
  CHECK(std::string_view(text.data(), text.size()) == "headpayload");
  CHECK(b.out.write(0, std::as_bytes(std::span{std::string_view{"answer"}})) == 6);
  CHECK(b.ram.text(data_at + 0x2000, 6) == "answer");
  REQUIRE(b.it->put_used(b.out, 6));
  CHECK(b.ring.used_at(0) == used_entry{2, 6});
  CHECK(b.ring.used_index() == 1);
  CHECK_FALSE(b.it->pop(b.out).value());
}

TEST_CASE("queue: indices that wrap at 65536, go on") {
  bench b{false, 65534};
  for (std::uint16_t i = 0; i < 5; ++i) {
    b.ring.add(i, {{data_at, 8, true}});
    REQUIRE(b.it->pop(b.out).value());
    REQUIRE(b.it->put_used(b.out, i));
  }
  CHECK(b.ring.used_index() == 3);
  CHECK(b.it->state().next_available == 3);
  CHECK(b.ring.used_at(2) == used_entry{4, 4});
}

TEST_CASE("queue: rings that do not fit, are refused when attached") {
  guest_ram ram;
  interrupt_counter irq;
  const driver_ring ring{ram, ring_at, 8};
  const auto refused = [&](auto&& change) {
    auto state = ring.state();
    change(state);
    const auto it = queue::attach(state, 8, ram.memory(), irq);
    return !it && it.error().code == errc::guest_fault;
  };
  CHECK_FALSE(refused([](queue_state&) {}));
  CHECK(refused([](queue_state& s) { s.size = 0; }));
  CHECK(refused([](queue_state& s) { s.size = 6; }));
  CHECK(refused([](queue_state& s) { s.size = 16; }));
  CHECK(refused([](queue_state& s) { s.descriptors += 8; }));
  CHECK(refused([](queue_state& s) { s.available += 1; }));
  CHECK(refused([](queue_state& s) { s.used += 2; }));
  CHECK(refused([](queue_state& s) { s.used = ram_end - 64; }));
  CHECK(refused([](queue_state& s) { s.descriptors = ~0ULL & ~15ULL; }));
  CHECK(refused([](queue_state& s) { s.taken = {{8, 1}}; }));
}

TEST_CASE("queue: registers rewritten after attach, do not reach it") {
  bench b;
  auto changed = b.ring.state(); // The transport's copy, which the driver may still write to.
  changed.size = 0;
  b.ring.add(7, {{data_at, 1, true}});
  CHECK(b.it->pop(b.out).value());
  CHECK(b.it->size() == 8);
}

TEST_CASE("queue: an available index further ahead than the ring is large, kills it") {
  bench b;
  b.ring.set_index(9);
  check_dead(b, "9 new entries");
}

TEST_CASE("queue: a head out of range, kills it") {
  bench b;
  b.ring.offer(8);
  check_dead(b, "head 8 of 8");
}

TEST_CASE("queue: one head offered twice, kills it") {
  bench b;
  b.ring.add(3, {{data_at, 8, true}});
  REQUIRE(b.it->pop(b.out).value());
  b.ring.offer(3);
  check_dead(b, "head 3 is in flight");
}

TEST_CASE("queue: descriptors in a circle, kill it") {
  bench b;
  b.ring.describe(0, {data_at, 8, descriptor_next, 1});
  b.ring.describe(1, {data_at, 8, descriptor_next, 0});
  b.ring.offer(0);
  check_dead(b, "more than 8 descriptors");
}

TEST_CASE("queue: empty descriptors in a circle, kill it too") {
  bench b;
  b.ring.describe(0, {data_at, 0, descriptor_next, 0});
  b.ring.offer(0);
  check_dead(b, "more than 8 descriptors");
}

TEST_CASE("queue: an empty descriptor, is no buffer") {
  bench b;
  b.ring.add(0, {{data_at, 0, false}, {data_at, 3, true}});
  REQUIRE(b.it->pop(b.out).value());
  CHECK(b.out.segments.size() == 1);
  CHECK(b.out.readable().empty());
}

TEST_CASE("queue: a next field out of range, kills it") {
  bench b;
  b.ring.describe(0, {data_at, 8, descriptor_next, 8});
  b.ring.offer(0);
  check_dead(b, "next 8 of 8");
}

TEST_CASE("queue: a buffer beyond RAM, kills it") {
  SECTION("behind the end") {
    bench b;
    b.ring.add(0, {{ram_end - 4, 8, true}});
    check_dead(b, "not all RAM");
  }
  SECTION("wrapping around") {
    bench b;
    b.ring.add(0, {{~0ULL, 8, true}});
    check_dead(b, "not all RAM");
  }
  SECTION("of the greatest length") {
    bench b;
    b.ring.add(0, {{data_at, 0xffff'ffff, true}});
    check_dead(b, "not all RAM");
  }
}

TEST_CASE("queue: more bytes than a used element can count, kill it") {
  // Two descriptors over 4 GiB of sparse RAM: each fits, their sum does not.
  guest_ram ram{gib(4)};
  driver_ring ring{ram, ring_at, 8};
  interrupt_counter irq;
  const auto it = queue::attach(ring.state(), 8, ram.memory(), irq).value();
  ring.add(0, {{0, 0xffff'f000, false}, {0, 0x1000, false}});
  chain out;
  CHECK_THAT(it->pop(out).error().text, Catch::Contains("more than 4294967295 bytes"));
}

TEST_CASE("queue: a readable buffer after a writable one, kills it") {
  bench b;
  b.ring.add(0, {{data_at, 8, true}, {data_at, 8, false}});
  check_dead(b, "readable after writable");
}

TEST_CASE("queue: an indirect table, is walked like the ring's own") {
  bench b;
  const gpa table = 0x30000;
  b.ram.put(table, descriptor{data_at, 4, descriptor_next, 2});
  b.ram.put(table + 32, descriptor{data_at + 8, 4, descriptor_write, 0});
  b.ring.describe(5, {table, 48, descriptor_indirect, 0});
  b.ring.offer(5);
  REQUIRE(b.it->pop(b.out).value());
  CHECK(b.out.head == 5);
  CHECK(b.out.readable_bytes == 4);
  CHECK(b.out.writable_bytes == 4);
}

TEST_CASE("queue: an indirect table that breaks a rule, kills it") {
  const gpa table = 0x30000;
  const auto offer = [&](bench& b, std::uint32_t length, std::uint16_t flags) {
    b.ring.describe(0, {table, length, flags, 1});
    b.ring.offer(0);
  };
  constexpr std::uint16_t indirect_and_next = descriptor_indirect | descriptor_next;
  bench b;
  SECTION("empty") {
    offer(b, 0, descriptor_indirect);
    check_dead(b, "indirect table: 0 bytes");
  }
  SECTION("not whole descriptors") {
    offer(b, 24, descriptor_indirect);
    check_dead(b, "indirect table: 24 bytes");
  }
  SECTION("larger than the queue") {
    offer(b, 9 * 16, descriptor_indirect);
    check_dead(b, "indirect table: 144 bytes");
  }
  SECTION("with a next descriptor") {
    offer(b, 16, indirect_and_next);
    check_dead(b, "indirect descriptor");
  }
  SECTION("within another") {
    b.ram.put(table, descriptor{table, 16, descriptor_indirect, 0});
    offer(b, 16, descriptor_indirect);
    check_dead(b, "indirect within indirect");
  }
  SECTION("next beyond the table") {
    b.ram.put(table, descriptor{data_at, 16, descriptor_next, 1});
    offer(b, 16, descriptor_indirect);
    check_dead(b, "next 1 of 1");
  }
  SECTION("outside RAM") {
    b.ring.describe(0, {ram_end, 16, descriptor_indirect, 0});
    b.ring.offer(0);
    check_dead(b, "not all RAM");
  }
}

TEST_CASE("queue: an indirect table that was not negotiated, kills it") {
  guest_ram ram;
  driver_ring ring{ram, ring_at, 8};
  interrupt_counter irq;
  const auto it = queue::attach(ring.state(), 8, ram.memory(), irq).value();
  ring.describe(0, {data_at, 16, descriptor_indirect, 0});
  ring.offer(0);
  chain out;
  CHECK(it->pop(out).error().code == errc::guest_fault);
}

TEST_CASE("queue: an un-popped chain, is popped again as if for the first time") {
  bench b;
  b.ring.add(0, {{data_at, 8, true}});
  b.ring.add(1, {{data_at, 8, true}});
  REQUIRE(b.it->pop(b.out).value());
  REQUIRE(b.it->un_pop(b.out));
  CHECK(b.it->in_flight() == 0);
  CHECK(b.it->rearm());
  REQUIRE(b.it->pop(b.out).value());
  CHECK(b.out.head == 0);
  CHECK(b.out.attempts == 1);
  const auto first = b.out;
  REQUIRE(b.it->pop(b.out).value());
  CHECK(b.it->un_pop(first).error().code == errc::internal); // Not the last one.
}

TEST_CASE("queue: completions the device must not make, are refused") {
  bench b;
  b.ring.add(0, {{data_at, 8, true}});
  REQUIRE(b.it->pop(b.out).value());
  CHECK(b.it->put_used(b.out, 9).error().code == errc::internal);
  REQUIRE(b.it->put_used(b.out, 8));
  CHECK(b.it->put_used(b.out, 8).error().code == errc::internal);
  CHECK(b.ring.used_index() == 1);
}

TEST_CASE("queue: chains in flight when the logic dies, come back with a count of attempts") {
  bench b;
  b.ring.add(0, {{data_at, 8, true}});
  b.ring.add(1, {{data_at, 8, true}});
  REQUIRE(b.it->pop(b.out).value());
  for (std::uint8_t attempts = 2; attempts <= 3; ++attempts) {
    b.it->requeue_taken();
    CHECK(b.it->rearm());
    REQUIRE(b.it->pop(b.out).value());
    CHECK(b.out.head == 0);
    CHECK(b.out.attempts == attempts);
    CHECK(b.out.poisoned() == (attempts == 3));
  }
  CHECK(b.it->in_flight() == 1);
  REQUIRE(b.it->put_used(b.out, 0));
  REQUIRE(b.it->pop(b.out).value());
  CHECK(b.out.head == 1);
  CHECK(b.out.attempts == 1);
}

TEST_CASE("queue: its state, attached again goes on where it was") {
  bench b;
  b.ring.add(0, {{data_at, 8, true}});
  b.ring.add(1, {{data_at, 8, true}});
  REQUIRE(b.it->pop(b.out).value());
  const auto state = b.it->state();
  CHECK(state.taken == std::vector<taken_chain>{{0, 1}});
  CHECK(state.next_available == 1);
  auto again = queue::attach(state, 8, b.ram.memory(), b.irq).value();
  CHECK(again->state() == state);
  again->requeue_taken();
  REQUIRE(again->pop(b.out).value());
  CHECK(b.out.head == 0);
  CHECK(b.out.attempts == 2);
  REQUIRE(again->pop(b.out).value());
  CHECK(b.out.head == 1);
}

TEST_CASE("queue: the driver's wish for no interrupts, is respected") {
  bench b;
  b.ring.set_flags(1);
  b.ring.add(0, {{data_at, 8, true}});
  REQUIRE(b.it->pop(b.out).value());
  REQUIRE(b.it->put_used(b.out, 0));
  b.it->notify();
  CHECK(b.irq.count == 0);
  b.ring.set_flags(0);
  b.ring.add(1, {{data_at, 8, true}});
  REQUIRE(b.it->pop(b.out).value());
  REQUIRE(b.it->put_used(b.out, 0));
  b.it->notify();
  b.it->notify(); // Nothing new: no second interrupt.
  CHECK(b.irq.count == 1);
}

TEST_CASE("queue: with the event index, the driver is interrupted when its index is passed") {
  bench b{true, 65533};
  const auto complete = [&](std::uint16_t head) {
    b.ring.add(head, {{data_at, 8, true}});
    REQUIRE(b.it->pop(b.out).value());
    REQUIRE(b.it->put_used(b.out, 0));
    b.it->notify();
    return std::exchange(b.irq.count, 0);
  };
  b.ring.set_used_event(65533);
  CHECK(complete(0) == 1); // The first decision is always in favour.
  b.ring.set_used_event(65535);
  CHECK(complete(1) == 0); // 65535 published, event 65535 not passed yet.
  CHECK(complete(2) == 1); // Passed with the wrap to 0.
  CHECK(complete(3) == 0);
}

TEST_CASE("queue: rearmed, it asks for a kick and sees what came meanwhile") {
  bench b{true};
  CHECK_FALSE(b.it->rearm());
  CHECK(b.ring.available_event() == 0);
  b.ring.add(0, {{data_at, 8, true}});
  CHECK(b.it->rearm());
  REQUIRE(b.it->pop(b.out).value());
  CHECK_FALSE(b.it->rearm());
  CHECK(b.ring.available_event() == 1);
}

TEST_CASE("queue: RAM mapped anew, is used from then on") {
  bench b;
  b.ring.add(0, {{data_at, 2, false}});
  guest_ram other;
  driver_ring elsewhere{other, ring_at, 8};
  other.put_text(data_at, "ok");
  elsewhere.add(0, {{data_at, 2, false}});
  REQUIRE(b.it->rebind(other.memory()));
  REQUIRE(b.it->pop(b.out).value());
  std::array<char, 2> text{};
  b.out.read(0, std::as_writable_bytes(std::span{text}));
  CHECK(std::string_view(text.data(), 2) == "ok");
  guest_ram small{kib(4)};
  CHECK(b.it->rebind(small.memory()).error().code == errc::guest_fault);
  CHECK(b.it->pop(b.out).error().code == errc::guest_fault);
}
