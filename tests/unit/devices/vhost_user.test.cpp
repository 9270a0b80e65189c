#include "actors/devices/unix_socket.hpp"
#include "actors/devices/vhost_user/codec.hpp"
#include "actors/devices/vhost_user/session.hpp"
#include "tests/support/guest_ram.hpp"
#include "tests/support/scripted_device.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <stdexcept>

using namespace troupe;
using namespace troupe::vhost_user;
using namespace troupe::testing;
using wire::request;

namespace {

constexpr milliseconds limit{5000};
constexpr std::uint64_t user_base = 0x7f00'0000'0000;
constexpr gpa ring_at = 0x10000;
constexpr gpa data_at = 0x40000;

message made(request what, const bytes& payload, std::size_t fds = 0) {
  message it;
  it.request = what;
  it.payload = payload;
  for (std::size_t i = 0; i < fds; ++i)
    it.fds.emplace_back(::eventfd(0, EFD_CLOEXEC));
  return it;
}

bytes words(std::initializer_list<std::uint64_t> values) {
  bytes it;
  for (const auto value : values) {
    const auto view = std::as_bytes(std::span{&value, 1});
    it.insert(it.end(), view.begin(), view.end());
  }
  return it;
}

bytes halves(std::initializer_list<std::uint32_t> values) {
  bytes it;
  for (const auto value : values) {
    const auto view = std::as_bytes(std::span{&value, 1});
    it.insert(it.end(), view.begin(), view.end());
  }
  return it;
}

// What the session told, awaited in order.
class diary {
public:
  void write(session_event what, const std::optional<failure>& why) {
    const std::lock_guard lock{mutex_};
    events_.push_back(what);
    if (why)
      last_ = *why;
    changed_.notify_all();
  }
  bool comes(session_event what) {
    std::unique_lock lock{mutex_};
    const auto there = changed_.wait_for(lock, limit, [&] {
      return std::find(events_.begin(), events_.end(), what) != events_.end();
    });
    if (there)
      events_.erase(events_.begin(), std::find(events_.begin(), events_.end(), what) + 1);
    return there;
  }
  failure last() {
    const std::lock_guard lock{mutex_};
    return last_;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<session_event> events_;
  failure last_;
};

// QEMU's side, with a guest's driver behind it.
class front_end {
public:
  front_end() { socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }
  ~front_end() { ::close(socket_); }
  front_end(const front_end&) = delete;
  front_end& operator=(const front_end&) = delete;

  static std::unique_ptr<front_end> connected(const std::string& path) {
    auto it = std::make_unique<front_end>();
    it->socket_ = (::close(it->socket_), devices::connect_unix(path).value().release());
    ::fcntl(it->socket_, F_SETFL, 0);
    return it;
  }

  void send(request what, const bytes& payload, std::vector<int> fds = {}, bool ack = false) {
    wire::header head{static_cast<std::uint32_t>(what),
                      wire::version | (ack ? wire::flag_need_reply : 0),
                      static_cast<std::uint32_t>(payload.size())};
    bytes frame(sizeof(head));
    std::memcpy(frame.data(), &head, sizeof(head));
    frame.insert(frame.end(), payload.begin(), payload.end());
    send_raw(frame, fds);
  }

  void send_raw(bytes& frame, const std::vector<int>& fds) const {
    iovec part{frame.data(), frame.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * 32)> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
      auto* it = CMSG_FIRSTHDR(&message);
      it->cmsg_level = SOL_SOCKET;
      it->cmsg_type = SCM_RIGHTS;
      it->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
      std::memcpy(CMSG_DATA(it), fds.data(), sizeof(int) * fds.size());
    }
    REQUIRE(::sendmsg(socket_, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(frame.size()));
  }

  // The payload of the reply, checked to be one to `what`.
  bytes reply(request what) const {
    wire::header head;
    REQUIRE(::recv(socket_, &head, sizeof(head), MSG_WAITALL) == sizeof(head));
    CHECK(head.request == static_cast<std::uint32_t>(what));
    CHECK(head.flags == (wire::version | wire::flag_reply));
    bytes payload(head.size);
    if (!payload.empty())
      REQUIRE(::recv(socket_, payload.data(), payload.size(), MSG_WAITALL) ==
              static_cast<ssize_t>(payload.size()));
    return payload;
  }

  // Sends with need_reply and returns whether it was accepted.
  bool accepted(request what, const bytes& payload, std::vector<int> fds = {}) {
    send(what, payload, std::move(fds), true);
    return reply(what) == words({0});
  }

  // Reset counts as well: that is what unread bytes turn a hang-up into.
  bool hung_up() const {
    char byte = 0;
    return ::recv(socket_, &byte, 1, 0) <= 0;
  }

  void negotiate() {
    send(request::set_protocol_features, words({wire::protocol_reply_ack | wire::protocol_config}));
    REQUIRE(accepted(request::set_owner, {}));
    REQUIRE(accepted(request::set_features, words({wire::feature_protocol})));
  }
  void share_memory() {
    auto table = words({1, 0, mib(1), user_base, 0});
    REQUIRE(accepted(request::set_mem_table, table, {ram.fd()}));
  }
  void describe_ring() {
    REQUIRE(accepted(request::set_vring_num, halves({0, 8})));
    REQUIRE(accepted(request::set_vring_base, halves({0, 0})));
    const auto state = ring.state();
    REQUIRE(accepted(request::set_vring_addr,
                     words({0, user_base + state.descriptors, user_base + state.used,
                            user_base + state.available, 0})));
    REQUIRE(accepted(request::set_vring_call, words({0}), {call.get()}));
    REQUIRE(accepted(request::set_vring_err, words({0}), {error.get()}));
  }
  void start() {
    negotiate();
    share_memory();
    describe_ring();
    REQUIRE(accepted(request::set_vring_kick, words({0}), {kick.get()}));
    REQUIRE(accepted(request::set_vring_enable, halves({0, 1})));
  }

  static bool signalled(const unique_fd& event) {
    pollfd it{event.get(), POLLIN, 0};
    eventfd_t count = 0;
    return ::poll(&it, 1, static_cast<int>(limit.count())) == 1 &&
           ::eventfd_read(event.get(), &count) == 0;
  }

  guest_ram ram;
  driver_ring ring{ram, ring_at, 8};
  unique_fd kick{::eventfd(0, EFD_CLOEXEC)};
  unique_fd call{::eventfd(0, EFD_CLOEXEC)};
  unique_fd error{::eventfd(0, EFD_CLOEXEC)};

private:
  int socket_ = -1;
};

struct bench {
  bench() {
    served = session::start(devices::listen_unix(path, 1).value(),
                            std::make_unique<scripted_device>(plan), *loop,
                            [this](session_event what, const std::optional<failure>& why) {
                              told.write(what, why);
                            })
                 .value();
    qemu = front_end::connected(path);
  }
  ~bench() {
    qemu.reset();
    CHECK(served->stop(limit));
    ::unlink(path.c_str());
  }

  void offer(std::uint16_t head) {
    qemu->ring.add(head, {{data_at + 16ULL * head, 16, true}});
    ::eventfd_write(qemu->kick.get(), 1);
  }
  // Whether the device completed the next chain with `written` bytes.
  bool completes(std::uint16_t head, std::uint32_t written) {
    if (!front_end::signalled(qemu->call))
      return false;
    return qemu->ring.take_used() == used_entry{head, written};
  }

  std::string path = (std::filesystem::temp_directory_path() /
                      ("troupe-vhost-" + std::to_string(::getpid()) + ".sock"))
                         .string();
  script plan;
  diary told;
  std::unique_ptr<devices::worker> loop = devices::worker::start("test").value();
  std::unique_ptr<session> served;
  std::unique_ptr<front_end> qemu;
};

} // namespace

TEST_CASE("vhost-user codec: frames, byte for byte") {
  const std::array<unsigned char, 12> golden{19, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0};
  const auto head = decode_header(std::as_bytes(std::span{golden}));
  REQUIRE(head);
  CHECK(head->request == 19);
  CHECK(head->size == 8);
  const std::array<unsigned char, 20> reply{11, 0, 0, 0, 5, 0, 0, 0, 8, 0,
                                            0,  0, 1, 0, 0, 0, 7, 0, 0, 0};
  const auto frame = encode_vring_state(request::get_vring_base, {1, 7});
  CHECK(std::equal(frame.begin(), frame.end(), reply.begin(), reply.end(),
                   [](std::byte a, unsigned char b) { return a == std::byte{b}; }));
}

TEST_CASE("vhost-user codec: headers of a wrong version, direction or size, are refused") {
  const auto refused = [](wire::header it) {
    const auto got = decode_header(std::as_bytes(std::span{&it, 1}));
    return !got && got.error().code == errc::peer_fault;
  };
  CHECK_FALSE(refused({1, 1, 0}));
  CHECK(refused({1, 2, 0}));
  CHECK(refused({1, 5, 0}));
  CHECK(refused({1, 1, wire::payload_max + 1}));
  CHECK(refused({1, 1, 0xffff'ffff}));
  CHECK(decode_header({}).error().code == errc::peer_fault);
}

TEST_CASE("vhost-user codec: payloads that do not have their request's shape, are refused") {
  CHECK(expect_empty(made(request::set_owner, words({0}))).error().code == errc::peer_fault);
  CHECK_FALSE(decode_number(made(request::set_features, halves({1}))));
  CHECK_FALSE(decode_vring_state(made(request::set_vring_num, words({1, 1}))));
  CHECK_FALSE(decode_vring_address(made(request::set_vring_addr, words({1}))));
  CHECK_FALSE(decode_memory_table(made(request::set_mem_table, words({1, 0, 0, 0, 0}))));
  CHECK_FALSE(decode_memory_table(made(request::set_mem_table, words({9, 0, 0, 0, 0}), 1)));
  CHECK_FALSE(decode_memory_table(made(request::set_mem_table, words({0}))));
  CHECK(decode_memory_table(made(request::set_mem_table, words({1, 0, 1, 2, 3}), 1)));
  CHECK_FALSE(decode_config(made(request::get_config, halves({0, 4, 0}))));
  CHECK_FALSE(decode_config(made(request::get_config, halves({256, 4, 0, 0}))));
  CHECK(decode_config(made(request::get_config, halves({252, 4, 0, 0}))));
}

TEST_CASE("vhost-user codec: kick and call, with a descriptor or the word that there is none") {
  auto with = made(request::set_vring_kick, words({3}), 1);
  const auto kick = decode_vring_fd(with);
  REQUIRE(kick);
  CHECK(kick->index == 3);
  CHECK(kick->fd);
  auto none = made(request::set_vring_call, words({0x103}));
  CHECK_FALSE(decode_vring_fd(none)->fd);
  auto missing = made(request::set_vring_kick, words({3}));
  CHECK_FALSE(decode_vring_fd(missing));
  auto surplus = made(request::set_vring_kick, words({0x103}), 1);
  CHECK_FALSE(decode_vring_fd(surplus));
  auto high = made(request::set_vring_kick, words({0x1'0000'0003}), 1);
  CHECK_FALSE(decode_vring_fd(high));
}

TEST_CASE("vhost-user session: queries, are answered before anything is set up") {
  bench b;
  CHECK(b.told.comes(session_event::connected));
  b.qemu->send(request::get_features, {});
  CHECK(b.qemu->reply(request::get_features) ==
        words({4 | virtio::ring_features | wire::feature_protocol}));
  b.qemu->send(request::get_protocol_features, {});
  CHECK(b.qemu->reply(request::get_protocol_features).size() == 8);
  b.qemu->send(request::get_queue_num, {});
  CHECK(b.qemu->reply(request::get_queue_num) == words({1}));
  b.qemu->send(request::get_config, halves({2, 4, 0, 0}));
  auto config = halves({2, 4, 0, 0});
  std::memcpy(config.data() + 12, "nfig", 4);
  CHECK(b.qemu->reply(request::get_config) == config);
}

TEST_CASE("vhost-user session: a started ring, is served and told by its call descriptor") {
  bench b;
  b.qemu->start();
  CHECK(b.told.comes(session_event::activated));
  b.offer(3);
  REQUIRE(b.completes(3, 2));
  CHECK(b.qemu->ram.text(data_at + 48, 2) == "ok");
  const auto stats = b.served->stats(limit).value();
  CHECK(stats.kicks == 1);
  CHECK(stats.messages == 11);
  const auto state = b.served->state(limit).value();
  REQUIRE(state.queues.size() == 1);
  CHECK(state.queues[0].next_available == 1);
  CHECK(state.queues[0].next_used == 1);
}

TEST_CASE("vhost-user session: a stopped ring, tells its base and starts again from there") {
  bench b;
  b.qemu->start();
  b.offer(0);
  REQUIRE(b.completes(0, 2));
  REQUIRE(b.qemu->accepted(request::set_vring_enable, halves({0, 0})));
  CHECK(b.plan.resets == 1);
  b.qemu->send(request::get_vring_base, halves({0, 0}));
  CHECK(b.qemu->reply(request::get_vring_base) == halves({0, 1}));
  b.offer(1); // While stopped: must wait.
  REQUIRE(b.qemu->accepted(request::set_vring_base, halves({0, 1})));
  REQUIRE(b.qemu->accepted(request::set_vring_kick, words({0}), {b.qemu->kick.get()}));
  REQUIRE(b.qemu->accepted(request::set_vring_enable, halves({0, 1})));
  CHECK(b.completes(1, 2));
  CHECK(b.plan.activations == 2);
}

TEST_CASE("vhost-user session: requests with wrong values, are refused and the session goes on") {
  bench b;
  b.qemu->negotiate();
  auto& q = *b.qemu;
  CHECK_FALSE(q.accepted(request::set_features, words({1ULL << 40})));
  CHECK_FALSE(q.accepted(request::set_protocol_features, words({1ULL << 50})));
  q.negotiate();
  CHECK_FALSE(q.accepted(request::set_vring_num, halves({1, 8})));
  CHECK_FALSE(q.accepted(request::set_vring_num, halves({0xffff'ffff, 8})));
  CHECK_FALSE(q.accepted(request::set_vring_num, halves({0, 9})));
  CHECK_FALSE(q.accepted(request::set_vring_base, halves({0, 0x10000})));
  CHECK_FALSE(q.accepted(request::set_vring_enable, halves({0, 2})));
  CHECK_FALSE(q.accepted(request::set_vring_kick, words({0x100})));
  CHECK_FALSE(q.accepted(request::set_vring_kick, words({0})));
  CHECK_FALSE(q.accepted(request::set_config, halves({0, 4, 0, 0})));
  CHECK_FALSE(q.accepted(static_cast<request>(99), {}));
  CHECK_FALSE(
      q.accepted(request::set_mem_table, words({1, 0, mib(2), user_base, 0}), {q.ram.fd()}));
  CHECK_FALSE(q.accepted(request::set_mem_table, words({1, 0, mib(1), ~0ULL, 0}), {q.ram.fd()}));
  CHECK_FALSE(
      q.accepted(request::set_mem_table, words({1, 7, mib(1), user_base, 0}), {q.ram.fd()}));
  q.start();
  CHECK(b.told.comes(session_event::activated));
}

TEST_CASE("vhost-user session: broken framing, ends the connection and the next one is served") {
  const auto ends = [](std::initializer_list<std::uint32_t> frame, std::size_t fds) {
    bench b;
    auto bytes = halves(frame);
    b.qemu->send_raw(bytes, std::vector<int>(fds, b.qemu->call.get()));
    CHECK(b.qemu->hung_up());
    CHECK(b.told.comes(session_event::disconnected));
    CHECK(b.told.last().code == errc::peer_fault);
    b.qemu = front_end::connected(b.path);
    b.qemu->start();
    CHECK(b.told.comes(session_event::activated));
  };
  SECTION("a version of the future") {
    ends({1, 2, 0}, 0);
  }
  SECTION("a payload without end") {
    ends({1, 1, 0xffff'0000}, 0);
  }
  SECTION("too many descriptors") {
    ends({13, 1, 8, 0, 0}, 9);
  }
  SECTION("a wrong request nobody waits for") {
    ends({8, 1, 8, 7, 7}, 0);
  }
}

TEST_CASE(
    "vhost-user session: a front-end that leaves, takes the device with it and nothing else") {
  bench b;
  b.qemu->start();
  REQUIRE(b.told.comes(session_event::activated));
  b.qemu = front_end::connected(b.path); // Waits in the backlog while the old one closes.
  CHECK(b.told.comes(session_event::disconnected));
  CHECK(b.told.last().code == errc::cancelled);
  b.qemu->start();
  b.offer(0);
  CHECK(b.completes(0, 2));
}

TEST_CASE("vhost-user session: a guest that lies, stops its device until it resets it") {
  bench b;
  b.qemu->start();
  b.qemu->ring.offer(8); // No such descriptor.
  ::eventfd_write(b.qemu->kick.get(), 1);
  REQUIRE(b.told.comes(session_event::failed));
  CHECK(b.told.last().code == errc::guest_fault);
  CHECK_THAT(b.told.last().text, Catch::Contains("vhost-user/scripted: process"));
  CHECK(front_end::signalled(b.qemu->error));
  CHECK(b.plan.resets == 1);

  REQUIRE(b.served->replace_device(std::make_unique<scripted_device>(b.plan), limit));
  CHECK(b.plan.activations == 1); // New logic cannot help: the ring is what is broken.

  REQUIRE(b.qemu->accepted(request::set_vring_enable, halves({0, 0})));
  b.qemu->send(request::get_vring_base, halves({0, 0}));
  CHECK(b.qemu->reply(request::get_vring_base) == halves({0, 0}));
  b.qemu->ring.set_index(0);
  REQUIRE(b.qemu->accepted(request::set_vring_kick, words({0}), {b.qemu->kick.get()}));
  REQUIRE(b.qemu->accepted(request::set_vring_enable, halves({0, 1})));
  b.offer(2);
  CHECK(b.completes(2, 2));
}

TEST_CASE("vhost-user session: a ring outside RAM, refuses the device and nothing else") {
  bench b;
  b.qemu->negotiate();
  b.qemu->share_memory();
  b.qemu->describe_ring();
  REQUIRE(b.qemu->accepted(request::set_vring_addr,
                           words({0, user_base + mib(1) - 16, user_base, user_base, 0})));
  REQUIRE(b.qemu->accepted(request::set_vring_kick, words({0}), {b.qemu->kick.get()}));
  REQUIRE(b.qemu->accepted(request::set_vring_enable, halves({0, 1})));
  REQUIRE(b.told.comes(session_event::failed));
  CHECK(b.told.last().code == errc::guest_fault);
  CHECK(b.plan.activations == 0);
}

TEST_CASE("vhost-user session: logic that throws, is replaced and the request is answered") {
  bench b;
  b.plan.throws = 1;
  b.qemu->start();
  b.offer(5);
  REQUIRE(b.told.comes(session_event::failed));
  CHECK(b.told.last().code == errc::internal);
  CHECK_THAT(b.told.last().text, Catch::Contains("poison"));
  REQUIRE(b.served->replace_device(std::make_unique<scripted_device>(b.plan), limit));
  CHECK(b.completes(5, 2));
  CHECK(b.plan.attempts == std::vector<std::uint8_t>{1, 2});
  b.offer(6);
  CHECK(b.completes(6, 2));
}

TEST_CASE("vhost-user session: a request that kills the logic twice, is answered with an error") {
  bench b;
  b.plan.throws = 100;
  b.qemu->start();
  b.offer(5);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(b.told.comes(session_event::failed));
    REQUIRE(b.served->replace_device(std::make_unique<scripted_device>(b.plan), limit));
  }
  CHECK(b.completes(5, 0));
  CHECK(b.plan.attempts == std::vector<std::uint8_t>{1, 2, 3});
}

TEST_CASE("vhost-user session: memory mapped anew while the device runs, is used at once") {
  bench b;
  b.qemu->start();
  b.offer(0);
  REQUIRE(b.completes(0, 2));
  b.qemu->share_memory();
  b.offer(1);
  CHECK(b.completes(1, 2));
  CHECK(b.plan.activations == 1);
  auto table = words({1, mib(16), mib(1), user_base, 0}); // The rings are not in it any more.
  CHECK(b.qemu->accepted(request::set_mem_table, table, {b.qemu->ram.fd()}));
  CHECK(b.told.comes(session_event::failed));
  CHECK(b.told.last().code == errc::guest_fault);
}

TEST_CASE("vhost-user session: stopped, it holds no descriptor any more") {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {});
  };
  const auto before = descriptors();
  {
    bench b;
    b.qemu->start();
    b.offer(0);
    REQUIRE(b.completes(0, 2));
    CHECK(descriptors() > before);
  }
  CHECK(descriptors() == before);
}

TEST_CASE("unix socket: mode 0600 from the start, and an existing path is not taken over") {
  const auto path = (std::filesystem::temp_directory_path() /
                     ("troupe-listen-" + std::to_string(::getpid()) + ".sock"))
                        .string();
  const auto first = devices::listen_unix(path, 1);
  REQUIRE(first);
  CHECK(std::filesystem::status(path).permissions() ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  CHECK(devices::listen_unix(path, 1).error().code == errc::already_exists);
  CHECK_FALSE(*devices::accept_unix(first->get())); // Nobody waits.
  ::unlink(path.c_str());
  CHECK(devices::listen_unix(std::string(200, 'x'), 1).error().code == errc::invalid_argument);
  CHECK(devices::connect_unix(path).error().os_error == ENOENT);
}
