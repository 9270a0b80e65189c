#include "actors/devices/virtio/vsock/muxer.hpp"

#include "actors/devices/virtio/vsock/handshake.hpp"
#include "actors/vcpu/memory/access_raw.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <map>
#include <string>

using namespace troupe;
using namespace troupe::vsock;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t cid = 3;
const time_point noon{100s};

// The host's end of a fake stream, kept by the test.
struct far_end {
  std::string to_read;  ///< What the host side has sent.
  bool ended = false;   ///< It sends no more.
  bool broken = false;  ///< It is gone: reads and writes fail.
  std::string received; ///< What reached it.
  std::size_t room = 1 << 30;
  bool got_end = false;
  bool reading_ended = false;
  bool watches_read = false;
  bool watches_write = false;
  bool alive = false;
  std::function<void(readiness)> tell;
};

class fake_stream final : public stream {
public:
  explicit fake_stream(far_end& end) : end_(end) {
    end_.alive = true;
    end_.tell = [this](readiness what) { tell(what); };
  }
  ~fake_stream() override { end_.alive = false; }

  transfer read(std::span<const iovec> into) override {
    if (end_.broken)
      return {transfer::end::broken, 0};
    const auto bytes = std::as_bytes(std::span{end_.to_read});
    const auto count = memory::raw::scatter(into, 0, bytes);
    end_.to_read.erase(0, count);
    if (count > 0)
      return {transfer::end::moved, count};
    return {end_.ended ? transfer::end::ended : transfer::end::blocked, 0};
  }
  transfer write(std::span<const iovec> from) override {
    if (end_.broken)
      return {transfer::end::broken, 0};
    std::string text(std::min<std::size_t>(end_.room, 1 << 20), '\0');
    text.resize(memory::raw::gather(from, 0, std::as_writable_bytes(std::span{text})));
    end_.room -= text.size();
    end_.received += text;
    return {text.empty() ? transfer::end::blocked : transfer::end::moved, text.size()};
  }
  void end_writing() noexcept override { end_.got_end = true; }
  void end_reading() noexcept override { end_.reading_ended = true; }
  void watch(bool readable, bool writable) override {
    end_.watches_read = readable;
    end_.watches_write = writable;
  }

private:
  far_end& end_;
};

// A muxer between a guest that is a list of packets and fake host ends.
struct bench : dialer {
  outcome<std::unique_ptr<stream>> dial(std::uint32_t port) override {
    if (!services.contains(port))
      return fail(errc::host_io, "nobody at {}", port);
    return std::make_unique<fake_stream>(services[port]);
  }

  header packet(operation op, port_pair pair) const {
    header it;
    it.source_cid = cid;
    it.target_cid = host_cid;
    it.source_port = pair.guest;
    it.target_port = pair.host;
    it.op = op;
    it.buffer_size = guest_buffer;
    it.forwarded = guest_forwarded;
    return it;
  }
  void send(operation op, port_pair pair, std::uint32_t flags = 0) {
    auto it = packet(op, pair);
    it.flags = flags;
    mux.from_guest(it, {});
  }
  void send_data(port_pair pair, std::string text) {
    auto it = packet(operation::data, pair);
    it.length = static_cast<std::uint32_t>(text.size());
    const iovec part{text.data(), text.size()};
    mux.from_guest(it, {&part, 1});
  }
  // The next packet for the guest; its payload is in `payload`.
  std::optional<header> next(time_point now = noon) {
    std::array<char, 4096> room{};
    const iovec part{room.data(), room.size()};
    const auto it = mux.to_guest({&part, 1}, now);
    payload.assign(room.data(), it ? it->length : 0);
    return it;
  }
  operation next_op(time_point now = noon) {
    const auto it = next(now);
    return it ? it->op : operation::invalid;
  }
  // A connection the guest opened to service 80, past its response.
  port_pair guest_opens(std::uint32_t guest_port = 1234) {
    services.try_emplace(80);
    const port_pair pair{80, guest_port};
    send(operation::request, pair);
    REQUIRE(next_op() == operation::response);
    return pair;
  }
  // A connection of the host to guest port 1024, past its OK.
  port_pair host_opens(far_end& end) {
    const auto pair = mux.open(1024, std::make_unique<fake_stream>(end), noon).value();
    REQUIRE(next_op() == operation::request);
    send(operation::response, pair);
    end.received.clear();
    return pair;
  }

  std::map<std::uint32_t, far_end> services;
  std::uint32_t guest_buffer = 256 * 1024;
  std::uint32_t guest_forwarded = 0;
  std::string payload;
  int wakes = 0;
  muxer_ledger kept;
  muxer mux{cid, *this, kept, [this] { ++wakes; }};
};

} // namespace

TEST_CASE("vsock packet: 44 bytes, as on the wire") {
  header it;
  it.source_cid = 0x0102030405060708;
  it.target_cid = 2;
  it.source_port = 0x11121314;
  it.target_port = 0x21222324;
  it.length = 0x31323334;
  it.op = operation::shutdown;
  it.flags = 3;
  it.buffer_size = 0x41424344;
  it.forwarded = 0x51525354;
  const std::array<unsigned char, 44> golden{
      8, 7,    6,    5,    4,    3,    2,    1,    2,    0,    0,    0,    0,    0,   0,
      0, 0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31, 1,   0,
      4, 0,    3,    0,    0,    0,    0x44, 0x43, 0x42, 0x41, 0x54, 0x53, 0x52, 0x51};
  const auto image = encode(it);
  CHECK(std::equal(image.begin(), image.end(), golden.begin(), golden.end(),
                   [](std::byte a, unsigned char b) { return a == std::byte{b}; }));
  CHECK(decode(image) == it);
}

TEST_CASE("vsock handshake: lines that are and are not CONNECT <port>") {
  CHECK(parse_connect("CONNECT 1024").value() == 1024);
  CHECK(parse_connect("connect 4294967295").value() == 4294967295U);
  for (const auto* line : {"", "CONNECT", "CONNECT ", "CONNECT  1", "CONNECT 1 ", "CONNECT -1",
                           "CONNECT 4294967296", "CONNECT 0x10", "GET / HTTP", "CONNECT 1\r"})
    CHECK(parse_connect(line).error().code == errc::peer_fault);
}

TEST_CASE("vsock muxer: the guest connects to a service, bytes go both ways") {
  bench b;
  const auto pair = b.guest_opens();
  auto& end = b.services[80];
  CHECK(end.watches_read);
  b.send_data(pair, "hello");
  CHECK(end.received == "hello");
  end.to_read = "world";
  end.tell({.readable = true});
  CHECK(b.wakes == 1);
  const auto it = b.next();
  REQUIRE(it);
  CHECK(it->op == operation::data);
  CHECK(it->source_cid == host_cid);
  CHECK(it->target_cid == cid);
  CHECK(it->source_port == 80);
  CHECK(it->target_port == 1234);
  CHECK(it->buffer_size == buffer_size);
  CHECK(it->forwarded == 5);
  CHECK(b.payload == "world");
  CHECK_FALSE(b.next());
  CHECK(end.watches_read); // Asked again once the read blocked.
}

TEST_CASE("vsock muxer: the guest connects to nobody, it is reset") {
  bench b;
  b.send(operation::request, {81, 1234});
  const auto it = b.next();
  REQUIRE(it);
  CHECK(it->op == operation::reset);
  CHECK(it->source_port == 81);
  CHECK(it->target_port == 1234);
  CHECK(b.mux.size() == 0);
}

TEST_CASE("vsock muxer: the host connects, it is told its port once the guest answered") {
  far_end end;
  bench b;
  const auto pair = b.mux.open(1024, std::make_unique<fake_stream>(end), noon).value();
  CHECK(pair.host == first_host_port);
  CHECK_FALSE(end.watches_read);
  const auto request = b.next();
  REQUIRE(request);
  CHECK(request->op == operation::request);
  CHECK(request->target_port == 1024);
  CHECK(end.received.empty());
  b.send(operation::response, pair);
  CHECK(end.received == "OK 1073741824\n");
  CHECK(end.watches_read);
}

TEST_CASE("vsock muxer: the guest refuses the host, the client is hung up on and nobody is reset") {
  far_end end;
  bench b;
  const auto pair = b.mux.open(1024, std::make_unique<fake_stream>(end), noon).value();
  REQUIRE(b.next_op() == operation::request);
  b.send(operation::reset, pair);
  CHECK_FALSE(end.alive);
  CHECK_FALSE(b.next());
}

TEST_CASE("vsock muxer: the guest does not answer, the request ends after two seconds") {
  far_end end;
  bench b;
  (void)b.mux.open(1024, std::make_unique<fake_stream>(end), noon).value();
  REQUIRE(b.next_op() == operation::request);
  REQUIRE(b.mux.next_deadline() == noon + answer_limit);
  b.mux.expire(noon + answer_limit - 1ms);
  CHECK(end.alive);
  b.mux.expire(noon + answer_limit);
  CHECK_FALSE(end.alive);
  CHECK(b.next_op() == operation::reset);
  CHECK_FALSE(b.mux.next_deadline());
}

TEST_CASE("vsock muxer: an answered request, outlives its deadline") {
  far_end end;
  bench b;
  (void)b.host_opens(end);
  b.mux.expire(noon + 10s);
  CHECK(end.alive);
}

TEST_CASE("vsock muxer: a client that leaves before the answer, the guest is reset") {
  far_end end;
  bench b;
  (void)b.mux.open(1024, std::make_unique<fake_stream>(end), noon).value();
  REQUIRE(b.next_op() == operation::request);
  end.tell({.hung_up = true});
  CHECK_FALSE(end.alive);
  CHECK(b.next_op() == operation::reset);
}

TEST_CASE("vsock muxer: packets of unknown connections, are answered by a reset, never a reset by "
          "one") {
  bench b;
  for (const auto op : {operation::response, operation::shutdown, operation::data,
                        operation::credit_update, operation::credit_request}) {
    b.send(op, {9, 9});
    CHECK(b.next_op() == operation::reset);
  }
  b.send(operation::reset, {9, 9});
  CHECK_FALSE(b.next());
}

TEST_CASE("vsock muxer: a wrong type, is answered by a reset of that type") {
  bench b;
  auto it = b.packet(operation::request, {80, 1});
  it.type = 2;
  b.mux.from_guest(it, {});
  const auto answer = b.next();
  REQUIRE(answer);
  CHECK(answer->op == operation::reset);
  CHECK(answer->type == 2);
}

TEST_CASE("vsock muxer: a foreign CID, is dropped without an answer") {
  bench b;
  auto it = b.packet(operation::request, {80, 1});
  it.source_cid = cid + 1;
  b.mux.from_guest(it, {});
  it = b.packet(operation::request, {80, 1});
  it.target_cid = 5;
  b.mux.from_guest(it, {});
  CHECK_FALSE(b.next());
  CHECK(b.mux.refused() == 2);
}

TEST_CASE("vsock muxer: a request or an unknown operation on a live connection, ends it") {
  for (const auto op :
       {operation::request, operation::response, operation::invalid, static_cast<operation>(99)}) {
    bench b;
    const auto pair = b.guest_opens();
    b.send(op, pair);
    CHECK_FALSE(b.services[80].alive);
    CHECK(b.next_op() == operation::reset);
  }
}

TEST_CASE("vsock muxer: more bytes than the guest has room for, wait for its credit") {
  bench b;
  b.guest_buffer = 6;
  const auto pair = b.guest_opens();
  auto& end = b.services[80];
  end.to_read = "0123456789";
  end.tell({.readable = true});
  REQUIRE(b.next_op() == operation::data);
  CHECK(b.payload == "012345");
  CHECK_FALSE(end.watches_read);
  CHECK(b.next_op() == operation::credit_request);
  CHECK_FALSE(b.next());
  b.guest_forwarded = 4;
  b.send(operation::credit_update, pair);
  REQUIRE(b.next_op() == operation::data);
  CHECK(b.payload == "6789");
}

TEST_CASE("vsock connection: credit counters that wrap, still tell the room") {
  far_end end;
  connection it{std::make_unique<fake_stream>(end), connection::phase::established};
  header from;
  from.buffer_size = 100;
  from.forwarded = 0xffff'fff0; // As if 4 GiB - 16 had been read already.
  it.note_credit(from);
  CHECK(it.credit() == 100 - 16);
  from.forwarded = 1; // More than was ever sent: a lie.
  it.note_credit(from);
  CHECK(it.credit() == 0);
}

TEST_CASE("vsock muxer: a host that does not read, the guest's bytes are kept up to its credit") {
  bench b;
  const auto pair = b.guest_opens();
  auto& end = b.services[80];
  end.room = 0;
  b.send_data(pair, std::string(buffer_size, 'x'));
  CHECK(end.alive);
  CHECK(end.watches_write);
  CHECK_FALSE(b.next()); // Nothing was passed on, so there is no credit to tell of.
  SECTION("and told of once the host reads") {
    end.room = 1 << 20;
    end.tell({.writable = true});
    CHECK(end.received.size() == buffer_size);
    CHECK_FALSE(end.watches_write);
    const auto update = b.next();
    REQUIRE(update);
    CHECK(update->op == operation::credit_update);
    CHECK(update->forwarded == buffer_size);
  }
  SECTION("and one byte more ends the connection") {
    b.send_data(pair, "y");
    CHECK_FALSE(end.alive);
    CHECK(b.next_op() == operation::reset);
  }
}

TEST_CASE("vsock muxer: a guest that asks for credit, is told") {
  bench b;
  const auto pair = b.guest_opens();
  b.send_data(pair, "abc");
  b.send(operation::credit_request, pair);
  const auto it = b.next();
  REQUIRE(it);
  CHECK(it->op == operation::credit_update);
  CHECK(it->forwarded == 3);
}

TEST_CASE("vsock muxer: the host ends its direction, the guest may still send") {
  bench b;
  const auto pair = b.guest_opens();
  auto& end = b.services[80];
  end.to_read = "last";
  end.ended = true;
  end.tell({.readable = true});
  CHECK(b.next_op() == operation::data);
  const auto it = b.next();
  REQUIRE(it);
  CHECK(it->op == operation::shutdown);
  CHECK(it->flags == shutdown_send);
  b.send_data(pair, "answer");
  CHECK(end.received == "answer");
  b.send(operation::shutdown, pair, shutdown_both);
  CHECK(b.next_op() == operation::reset);
  CHECK(b.mux.size() == 0);
}

TEST_CASE("vsock muxer: the guest ends its direction, the host is told after the last byte") {
  bench b;
  const auto pair = b.guest_opens();
  auto& end = b.services[80];
  end.room = 0;
  b.send_data(pair, "tail");
  b.send(operation::shutdown, pair, shutdown_send);
  CHECK_FALSE(end.got_end);
  end.room = 100;
  end.tell({.writable = true});
  CHECK(end.received == "tail");
  CHECK(end.got_end);
  end.to_read = "reply";
  end.tell({.readable = true});
  CHECK(b.next_op() == operation::data);
}

TEST_CASE("vsock muxer: data after the guest's own end, ends the connection") {
  bench b;
  const auto pair = b.guest_opens();
  b.send(operation::shutdown, pair, shutdown_send);
  b.send_data(pair, "more");
  CHECK_FALSE(b.services[80].alive);
  CHECK(b.next_op() == operation::reset);
}

TEST_CASE("vsock muxer: the guest closes, it is reset at once and its last bytes still arrive") {
  bench b;
  const auto pair = b.guest_opens();
  auto& end = b.services[80];
  end.room = 0;
  b.send_data(pair, "tail");
  b.send(operation::shutdown, pair, shutdown_both);
  CHECK(b.next_op() == operation::reset);
  b.send(operation::reset, pair); // Linux sends one when it gives up waiting.
  CHECK(end.alive);
  end.room = 100;
  end.tell({.writable = true});
  CHECK(end.received == "tail");
  CHECK_FALSE(end.alive);
}

TEST_CASE("vsock muxer: the host hangs up, what it sent arrives before the full shutdown") {
  bench b;
  (void)b.guest_opens();
  auto& end = b.services[80];
  end.to_read = "last words";
  end.ended = true;
  end.tell({.readable = true, .hung_up = true});
  REQUIRE(b.next_op() == operation::data);
  CHECK(b.payload == "last words");
  const auto it = b.next();
  REQUIRE(it);
  CHECK(it->op == operation::shutdown);
  CHECK(it->flags == shutdown_both);
  SECTION("the guest confirms") {
    b.send(operation::reset, {80, 1234});
    CHECK_FALSE(end.alive);
    CHECK_FALSE(b.next());
  }
  SECTION("the guest does not, and is reset after two seconds") {
    b.mux.expire(noon + answer_limit);
    CHECK_FALSE(end.alive);
    CHECK(b.next_op() == operation::reset);
  }
}

TEST_CASE("vsock muxer: the host's end breaks, the guest is reset") {
  bench b;
  (void)b.guest_opens();
  auto& end = b.services[80];
  end.broken = true;
  end.tell({.readable = true});
  CHECK(b.next_op() == operation::reset);
  CHECK_FALSE(end.alive);
}

TEST_CASE("vsock muxer: several ready connections, are served in turn") {
  far_end other;
  bench b;
  (void)b.guest_opens(1);
  (void)b.host_opens(other);
  b.services[80].to_read = std::string(3 * 4096, 'a');
  b.services[80].tell({.readable = true});
  other.to_read = "b";
  other.tell({.readable = true});
  std::string order;
  while (const auto it = b.next())
    order += b.payload.substr(0, 1);
  CHECK(order == "abaa");
}

TEST_CASE("vsock muxer: connection 1023 is the last one, for either side") {
  std::vector<far_end> ends(connections_max);
  far_end late;
  bench b;
  for (auto& it : ends)
    REQUIRE(b.mux.open(1024, std::make_unique<fake_stream>(it), noon));
  const auto refused = b.mux.open(1024, std::make_unique<fake_stream>(late), noon);
  CHECK(refused.error().code == errc::resource_exhausted);
  CHECK_FALSE(late.alive);
  b.services.try_emplace(80);
  b.send(operation::request, {80, 5});
  CHECK(b.mux.size() == connections_max);
  CHECK(b.next_op() == operation::reset);
}

TEST_CASE("vsock muxer: host ports, wrap and are not reused while in use") {
  far_end first;
  far_end second;
  far_end third;
  bench b;
  b.kept.next_host_port = last_host_port;
  CHECK(b.mux.open(7, std::make_unique<fake_stream>(first), noon)->host == last_host_port);
  CHECK(b.mux.open(7, std::make_unique<fake_stream>(second), noon)->host == first_host_port);
  b.kept.next_host_port = last_host_port;
  CHECK(b.mux.open(7, std::make_unique<fake_stream>(third), noon)->host == first_host_port + 1);
}

TEST_CASE("vsock muxer: a guest that never receives, is not listened to for ever") {
  bench b;
  for (std::size_t i = 0; i < resets_max; ++i) {
    REQUIRE(b.mux.accepts());
    b.send(operation::data, {9, static_cast<std::uint32_t>(i)});
  }
  CHECK_FALSE(b.mux.accepts());
  CHECK(b.next_op() == operation::reset);
  CHECK(b.mux.accepts());
}

TEST_CASE("vsock muxer: new logic over a ledger, resets the connections of the old one") {
  bench b;
  {
    bench old;
    (void)old.guest_opens();
    b.kept = old.kept;
  }
  CHECK(b.kept.live == std::set<port_pair>{{80, 1234}});
  const muxer fresh{cid, b, b.kept, [] {}};
  CHECK(b.kept.live.empty());
  CHECK(fresh.has_packet());
}

TEST_CASE("vsock muxer: new logic over resets that the guest has not got, delivers them") {
  bench b;
  b.send(operation::request, {9, 1234}); // Nobody serves port 9.
  CHECK(b.kept.live.empty());
  muxer fresh{cid, b, b.kept, [] {}};
  std::array<char, 64> room{};
  const iovec into{room.data(), room.size()};
  const auto packet = fresh.to_guest({&into, 1}, {});
  REQUIRE(packet);
  CHECK(packet->op == operation::reset);
  CHECK(packet->target_port == 1234);
  CHECK_FALSE(fresh.has_packet());
}
