#include "actors/sandbox/hypervisor/qemu/hotplug.hpp"
#include "actors/sandbox/hypervisor/qemu/qmp_client.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <sys/socket.h>
#include <thread>

using namespace troupe;
using namespace troupe::hypervisor::qemu;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

/// Both ends of a QMP connection; the test plays QEMU and the io thread.
struct qmp_fixture {
  qmp_fixture() {
    std::array<int, 2> fds{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    qemu.reset(fds[1]);
    client = std::make_unique<qmp_client>(
        unique_fd{fds[0]}, [this](const qmp::event& what) { events.push_back(what.name); });
  }
  void say(std::string_view text) {
    REQUIRE(::send(qemu.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
    (void)client->on_readable();
  }
  /// Takes the next command and answers it with `reply`, in which ID stands for its id.
  void answer(std::string reply) {
    std::array<char, 4096> buffer{};
    const auto n = ::recv(qemu.get(), buffer.data(), buffer.size(), 0);
    last = json::parse(std::string_view{buffer.data(), static_cast<std::size_t>(n)});
    reply.replace(reply.find("ID"), 2, std::to_string(last["id"].get<int>()));
    say(reply + "\r\n");
  }

  unique_fd qemu;
  std::unique_ptr<qmp_client> client;
  std::vector<std::string> events;
  json last;
};

time_point in(milliseconds span) {
  return monotonic_clock::now() + span;
}

template <class Shape>
Shape parsed(std::string_view line) {
  const auto what = qmp::parse(line);
  REQUIRE(what);
  REQUIRE(std::holds_alternative<Shape>(*what));
  return std::get<Shape>(*what);
}

} // namespace

TEST_CASE("qmp: the four shapes of a message are told apart") {
  CHECK(parsed<qmp::greeting>(R"({"QMP":{"version":{"qemu":{"micro":22,"minor":2,"major":7}}}})")
            .version == "7.2.22");
  const auto good = parsed<qmp::answer>(R"({"return":{"a":1},"id":5})");
  CHECK(good.id == 5);
  CHECK(good.value["a"] == 1);
  const auto bad = parsed<qmp::refusal>(R"({"error":{"class":"GenericError","desc":"no"},"id":6})");
  CHECK(bad.id == 6);
  CHECK(bad.kind == "GenericError");
  CHECK(bad.text == "no");
  const auto event = parsed<qmp::event>(R"({"event":"SHUTDOWN","data":{"reason":"guest-reset"}})");
  CHECK(event.name == "SHUTDOWN");
  CHECK(event.data["reason"] == "guest-reset");
}

TEST_CASE("qmp: what is no message is the peer's fault, odd members are harmless") {
  for (const char* line :
       {"", "x", "[]", "7", "{}", R"({"return":{}})", R"({"return":{},"id":-1})"})
    CHECK(qmp::parse(line).error().code == errc::peer_fault);
  CHECK(parsed<qmp::greeting>(R"({"QMP":7})").version == "0.0.0");
  CHECK_FALSE(parsed<qmp::refusal>(R"({"error":[]})").id);
  CHECK(parsed<qmp::event>(R"({"event":5,"data":7})").name.empty());
}

TEST_CASE("qmp: a command is one line of JSON") {
  CHECK(qmp::command(3, "stop", nullptr) == "{\"execute\":\"stop\",\"id\":3}\n");
  CHECK(qmp::command(4, "balloon", {{"value", 1}}) ==
        "{\"arguments\":{\"value\":1},\"execute\":\"balloon\",\"id\":4}\n");
}

TEST_CASE("qmp: a stream is cut into lines wherever it is split, and a line has a limit") {
  const std::string stream = "one\r\n\ntwo\nthr";
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    qmp::splitter lines;
    REQUIRE(lines.feed(stream.substr(0, cut)));
    REQUIRE(lines.feed(stream.substr(cut)));
    CHECK(lines.next() == "one");
    CHECK(lines.next() == "");
    CHECK(lines.next() == "two");
    CHECK_FALSE(lines.next());
  }
  qmp::splitter lines;
  REQUIRE(lines.feed(std::string(qmp::max_line, 'x')));
  CHECK(lines.feed("x").error().code == errc::peer_fault);
}

TEST_CASE_METHOD(qmp_fixture, "qmp: greeting, capabilities, and an answer to the right caller") {
  std::thread peer{[&] {
    say("{\"QMP\":{\"version\":{\"qemu\":{\"major\":7,\"minor\":2,\"micro\":0}}}}\n");
    answer(R"({"return":{},"id":ID})");
  }};
  const auto version = client->negotiate(in(5s));
  peer.join();
  REQUIRE(version);
  CHECK(*version == "7.2.0");
  CHECK(last["execute"] == "qmp_capabilities");
}

TEST_CASE_METHOD(qmp_fixture, "qmp: events between command and answer are routed") {
  std::thread peer{[&] { answer("{\"event\":\"STOP\"}\r\n{\"return\":{\"x\":7},\"id\":ID}"); }};
  const auto value = client->execute("stop", nullptr, in(5s));
  peer.join();
  REQUIRE(value);
  CHECK((*value)["x"] == 7);
  CHECK(events == std::vector<std::string>{"STOP"});
}

TEST_CASE_METHOD(qmp_fixture, "qmp: a refusal carries QEMU's words") {
  std::thread peer{
      [&] { answer(R"({"error":{"class":"DeviceNotFound","desc":"no disk0"},"id":ID})"); }};
  const auto value = client->execute("device_del", {{"id", "disk0"}}, in(5s));
  peer.join();
  CHECK(value.error().code == errc::peer_fault);
  CHECK(value.error().text == "qemu: DeviceNotFound: no disk0");
}

TEST_CASE_METHOD(qmp_fixture, "qmp: no answer in time names the command; a late one is ignored") {
  const auto value = client->execute("query-status", nullptr, in(10ms));
  CHECK(value.error().code == errc::deadline_exceeded);
  CHECK(value.error().text == "qemu: wait for the answer to query-status");
  say("{\"return\":{},\"id\":1}\n");
  std::thread peer{[&] {
    std::array<char, 4096> first{};
    REQUIRE(::recv(qemu.get(), first.data(), first.size(), 0) > 0);
    say("{\"return\":{\"second\":true},\"id\":2}\n");
  }};
  const auto next = client->execute("query-status", nullptr, in(5s));
  peer.join();
  REQUIRE(next);
  CHECK((*next)["second"] == true);
}

TEST_CASE_METHOD(qmp_fixture, "qmp: the end of the connection fails every waiter at once") {
  std::array<std::optional<outcome<json>>, 3> answers;
  std::vector<std::thread> callers;
  for (auto& answer : answers)
    callers.emplace_back([&] { answer = client->execute("stop", nullptr, in(60s)); });
  std::array<char, 4096> buffer{};
  std::string seen;
  while (std::count(seen.begin(), seen.end(), '\n') < 3)
    seen.append(buffer.data(),
                static_cast<std::size_t>(::recv(qemu.get(), buffer.data(), buffer.size(), 0)));
  qemu.reset();
  CHECK_FALSE(client->on_readable());
  for (auto& caller : callers)
    caller.join();
  for (const auto& answer : answers)
    CHECK(answer->error().code == errc::machine_gone);
  CHECK(client->execute("stop", nullptr, in(60s)).error().code == errc::machine_gone);
  CHECK(client->negotiate(in(60s)).error().code == errc::machine_gone);
}

TEST_CASE_METHOD(qmp_fixture, "qmp: a peer that floods one line is dropped") {
  const std::string flood(64 * 1024, 'x');
  std::thread peer{[&] {
    while (::send(qemu.get(), flood.data(), flood.size(), MSG_NOSIGNAL) > 0) {
    }
  }};
  while (client->on_readable()) {
  }
  CHECK(client->execute("stop", nullptr, in(60s)).error().code == errc::peer_fault);
  client.reset();
  peer.join();
}

TEST_CASE("hotplug: processor slots are read in their order, other shapes are the peer's fault") {
  const auto slots = cpu_slots(json::parse(R"([
    {"type":"max-x86_64-cpu","props":{"socket-id":1},"vcpus-count":1},
    {"type":"max-x86_64-cpu","props":{"socket-id":0},"qom-path":"/machine/device[0]"}])"));
  REQUIRE(slots);
  REQUIRE(slots->size() == 2);
  CHECK((*slots)[0].path == "/machine/device[0]");
  CHECK((*slots)[1].path.empty());
  CHECK((*slots)[1].properties["socket-id"] == 1);
  for (const char* bad : {"{}", "[1]", R"([{"type":1,"props":{}}])", R"([{"type":"x"}])"})
    CHECK(cpu_slots(json::parse(bad)).error().code == errc::peer_fault);
}
