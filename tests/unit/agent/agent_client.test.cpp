#include "actors/agent/agent_client.hpp"
#include "tests/unit/ttrpc/peer.hpp"

#include <optional>
#include <vector>

using namespace troupe;
using namespace troupe::agent;
using troupe::ttrpc::test::run_until;

namespace {

struct bench {
  asio::io_context io;
  ttrpc::test::socket_pair sockets;
  ttrpc::test::peer guest{io, std::move(sockets.theirs)};
  std::vector<failure> closed;
  std::optional<agent_client> agent;

  bench() {
    agent.emplace(sockets.give(io),
                  agent_timeouts{.request = seconds{7}, .create_container = seconds{60}},
                  [this](const failure& why) { closed.push_back(why); });
  }
  ~bench() {
    agent.reset();
    io.restart();
    io.poll();
  }

  ttrpc::call_request received() {
    auto call = ttrpc::decode_request(guest.next().body);
    REQUIRE(call);
    return *std::move(call);
  }

  template <class Response, class Request>
  outcome<Response> answer_to(const rpc<Request, Response>& what,
                              const outcome<std::string>& answer) {
    std::optional<outcome<Response>> result;
    agent->invoke(what, Request{}, [&](outcome<Response> got) { result = std::move(got); });
    guest.respond(guest.next().header.stream, answer);
    REQUIRE(run_until(io, [&] { return result.has_value(); }));
    return *result;
  }
};

} // namespace

TEST_CASE("agent client: a call carries its service, method, message and limit") {
  bench b;
  grpc::SignalProcessRequest request;
  request.set_container_id("c1");
  request.set_signal(9);
  b.agent->invoke(call::signal_process, request, [](const outcome<void>&) {});
  const auto sent = b.received();
  CHECK(sent.service == "grpc.AgentService");
  CHECK(sent.method == "SignalProcess");
  CHECK(sent.payload == ttrpc::test::bytes("0a 02 63 31 18 09"));
  CHECK(sent.timeout == seconds{7});

  b.agent->invoke(call::check, {}, [](const outcome<grpc::HealthCheckResponse>&) {});
  CHECK(b.received().service == "grpc.Health");
}

TEST_CASE("agent client: the shorter of the call's limit and the caller's deadline counts") {
  bench b;
  const auto limit = [&](const auto& what, milliseconds left) {
    b.agent->invoke(
        what, {}, [](const auto&) {}, left);
    return std::chrono::duration_cast<milliseconds>(b.received().timeout);
  };
  CHECK(limit(call::create_container, milliseconds::max()) == seconds{60});
  CHECK(limit(call::create_container, seconds{5}) == seconds{5});
  CHECK(limit(call::start_container, seconds{50}) == seconds{7});
  CHECK(limit(call::check, milliseconds::max()) == seconds{90});
  CHECK(limit(call::wait_process, milliseconds::max()) == milliseconds{0});
  CHECK(limit(call::read_stdout, milliseconds::max()) == milliseconds{0});
  CHECK(limit(call::wait_process, seconds{3}) == seconds{3});
  CHECK(limit(call::wait_process, milliseconds{0}) == milliseconds{1});
}

TEST_CASE("agent client: an answer is parsed; an empty one is success of a call without answer") {
  bench b;
  grpc::WaitProcessResponse exit;
  exit.set_status(137);
  exit.set_exited_at_ns(5);
  const auto status = b.answer_to(call::wait_process, exit.SerializeAsString());
  REQUIRE(status);
  CHECK(status->status() == 137);
  CHECK(status->exited_at_ns() == 5);
  CHECK(b.answer_to(call::start_container, std::string{}));
}

TEST_CASE("agent client: a failure names the call and is one bounded line") {
  bench b;
  const auto gone = b.answer_to(call::wait_process, fail(errc::not_found, "no process e1"));
  CHECK(gone.error() == failure{errc::not_found, "WaitProcess: no process e1", 0});
  const auto debug =
      b.answer_to(call::start_container, fail(errc::not_found, "chain:\n\t0: a\x1b[0m\n1: b"));
  CHECK(debug.error().text == "StartContainer: chain:  0: a [0m 1: b");
  const auto flood =
      b.answer_to(call::start_container, fail(errc::not_found, "{}", std::string(100000, 'x')));
  CHECK(flood.error().text.size() < 1100);
}

TEST_CASE("agent client: an agent that says only `internal`, or what does not parse, is at fault") {
  bench b;
  CHECK(b.answer_to(call::start_container, fail(errc::internal, "x")).error() ==
        failure{errc::guest_fault, "StartContainer: x", 0});
  CHECK(b.answer_to(call::get_guest_details, std::string{"\xff\xff"}).error() ==
        failure{errc::guest_fault, "GetGuestDetails: the agent's answer of 2 bytes does not parse",
                0});
}

TEST_CASE("agent client: a lost connection fails the waiting calls as agent_gone, by name") {
  bench b;
  std::optional<outcome<grpc::OOMEvent>> result;
  b.agent->invoke(call::get_oom_event, {}, [&](outcome<grpc::OOMEvent> got) { result = got; });
  static_cast<void>(b.received());
  b.guest.close();
  REQUIRE(run_until(b.io, [&] { return result.has_value(); }));
  CHECK(result->error() ==
        failure{errc::agent_gone, "GetOOMEvent: agent: connection lost: closed by peer", 0});
  REQUIRE(b.closed.size() == 1);
  CHECK(b.closed[0].code == errc::agent_gone);
}

TEST_CASE("agent client: what kata-agent does not have is found in the extra features") {
  grpc::AgentDetails details;
  CHECK(features_of(details) == agent_features{});
  details.add_extra_features("guest-pull");
  details.add_extra_features("troupe.read-offset");
  CHECK(features_of(details) == agent_features{.keep_exit = false, .read_offset = true});
  details.add_extra_features("troupe.keep-exit");
  CHECK(features_of(details) == agent_features{.keep_exit = true, .read_offset = true});
}
