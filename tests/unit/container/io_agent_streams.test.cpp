#include "actors/container/io/agent_streams.hpp"
#include "tests/unit/container/io_streams.hpp"

using namespace troupe;
using namespace troupe::stdio;
using namespace troupe::stdio::test;

namespace {

struct bench {
  asio::io_context io;
  ttrpc::test::socket_pair sockets;
  ttrpc::test::peer guest{io, std::move(sockets.theirs)};
  std::shared_ptr<agent::agent_client> client = std::make_shared<agent::agent_client>(
      sockets.give(io), agent::agent_timeouts{}, [](const failure&) {});
  std::unique_ptr<agent_streams> streams;

  explicit bench(agent::agent_features features, bool terminal = false)
      : streams(std::make_unique<agent_streams>(
            client, process_key{*container_id::parse("c1"), *exec_id::parse("e1")}, features,
            terminal)) {}
  ~bench() {
    streams.reset();
    client.reset();
    io.restart();
    io.poll();
  }

  template <class Message>
  Message received(std::string_view method) {
    const auto call = ttrpc::decode_request(guest.next().body);
    REQUIRE(call);
    CHECK(call->method == method);
    CHECK(call->timeout == std::chrono::nanoseconds{0});
    Message message;
    REQUIRE(message.ParseFromString(call->payload));
    CHECK(message.container_id() == "c1");
    CHECK(message.exec_id() == "e1");
    return message;
  }
};

constexpr agent::agent_features ours{.keep_exit = true, .read_offset = true};

} // namespace

TEST_CASE("agent streams: a read tells its offset only to an agent that knows it") {
  bench own{ours};
  own.streams->read(output::out, 7, 100, [](const outcome<std::string>&) {});
  const auto asked = own.received<grpc::ReadStreamRequest>("ReadStdout");
  CHECK(asked.len() == 100);
  CHECK(asked.has_offset());
  CHECK(asked.offset() == 7);

  bench kata{{}};
  kata.streams->read(output::err, 7, 100, [](const outcome<std::string>&) {});
  CHECK_FALSE(kata.received<grpc::ReadStreamRequest>("ReadStderr").has_offset());
}

TEST_CASE("agent streams: answers come back as bytes, counts and failures") {
  bench b{ours};
  outcome<std::string> bytes;
  b.streams->read(output::out, 0, 100, [&](outcome<std::string> got) { bytes = std::move(got); });
  static_cast<void>(b.received<grpc::ReadStreamRequest>("ReadStdout"));
  grpc::ReadStreamResponse read;
  read.set_data("hi");
  b.guest.respond(1, read.SerializeAsString());
  CHECK(run_until(b.io, [&] { return bytes == outcome<std::string>{"hi"}; }));

  outcome<std::size_t> taken;
  b.streams->write("input", [&](outcome<std::size_t> got) { taken = std::move(got); });
  CHECK(b.received<grpc::WriteStreamRequest>("WriteStdin").data() == "input");
  b.guest.respond(3, fail(errc::not_found, "no process"));
  CHECK(run_until(b.io, [&] { return !taken; }));
  CHECK(taken.error().text == "WriteStdin: no process");
}

TEST_CASE("agent streams: the end of stdin is an empty write, but not on kata-agent's terminal") {
  bench pipe{{}};
  bool closed = false;
  pipe.streams->close_input([&](const outcome<void>& got) { closed = got.has_value(); });
  CHECK(pipe.received<grpc::WriteStreamRequest>("WriteStdin").data().empty());
  pipe.guest.respond(1, std::string{});
  CHECK(run_until(pipe.io, [&] { return closed; }));

  bench terminal{{}, true};
  closed = false;
  terminal.streams->close_input([&](const outcome<void>& got) { closed = got.has_value(); });
  terminal.streams->read(output::out, 0, 1, [](const outcome<std::string>&) {});
  static_cast<void>(terminal.received<grpc::ReadStreamRequest>("ReadStdout"));
  CHECK(run_until(terminal.io, [&] { return closed; }));

  bench own{ours, true};
  own.streams->close_input([](const outcome<void>&) {});
  static_cast<void>(own.received<grpc::WriteStreamRequest>("WriteStdin"));
}
