#include "actors/agent/log_forwarder.hpp"
#include "tests/unit/ttrpc/peer.hpp"

#include <optional>
#include <vector>

using namespace troupe;
using namespace troupe::agent;
using troupe::ttrpc::test::run_until;

TEST_CASE("agent log: a line's level, message and free keys are kept, its standing keys are not") {
  CHECK(parse_log_line(
            R"({"msg":"mounted","level":"INFO","ts":"2026-01-01","version":"0.1","pid":"1",)"
            R"("name":"kata-agent","source":"agent","subsystem":"mount"})") ==
        log_line{log::level::info, "mounted"});
  CHECK(parse_log_line(R"({"msg":"mount failed","level":"ERRO","path":"/x","errno":22})") ==
        log_line{log::level::error, "mount failed errno=22 path=/x"});
  CHECK(parse_log_line(R"({"level":"CRIT","msg":"a"})").severity == log::level::error);
  CHECK(parse_log_line(R"({"level":"WARN","msg":"a"})").severity == log::level::warn);
  CHECK(parse_log_line(R"({"level":"DEBG","msg":"a"})").severity == log::level::debug);
  CHECK(parse_log_line(R"({"level":"TRCE","msg":"a"})").severity == log::level::trace);
  CHECK(parse_log_line(R"({"level":"loud","msg":"a"})").severity == log::level::info);
}

TEST_CASE("agent log: a line that is no object, or not of the expected types, is still told") {
  CHECK(parse_log_line("kernel panic") == log_line{log::level::info, "kernel panic"});
  CHECK(parse_log_line("[1,2]") == log_line{log::level::info, "[1,2]"});
  CHECK(parse_log_line(R"({"msg":7,"level":[],"deep":[[[]]]})") ==
        log_line{log::level::info, " deep=..."});
  CHECK(parse_log_line("\x1b[2Jhi\x07") == log_line{log::level::info, " [2Jhi "});
  CHECK(parse_log_line(R"({"msg":"two\nlines"})").text == "two lines");
}

TEST_CASE("agent log: bytes become lines however they are split; a long line is cut") {
  line_cutter cutter;
  std::vector<std::string> lines;
  const auto feed = [&](std::string_view bytes) {
    while (auto line = cutter.next(bytes))
      lines.push_back(*std::move(line));
  };
  feed("on");
  feed("e\n\ntwo\nth");
  feed("ree\n");
  CHECK(lines == std::vector<std::string>{"one", "two", "three"});
  lines.clear();
  for (int i = 0; i < 5; ++i)
    feed(std::string(longest_log_line / 2, 'x'));
  feed("\nnext\n");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == std::string(longest_log_line, 'x'));
  CHECK(lines[1] == "next");
}

TEST_CASE("agent log: a flood is held back by the second, and counted") {
  line_budget budget;
  const auto start = time_point{} + seconds{100};
  unsigned let_through = 0;
  for (unsigned i = 0; i < line_budget::lines_per_second + 5; ++i)
    let_through += budget.admit(start) ? 1 : 0;
  CHECK(let_through == line_budget::lines_per_second);
  CHECK(budget.admit(start + seconds{1}));
  CHECK(budget.take_dropped() == 5);
  CHECK(budget.take_dropped() == 0);
}

TEST_CASE("agent log: the forwarder writes each line under its name and tells the end once") {
  std::vector<std::string> records;
  log::set_sink([&](const log::record& r) {
    records.push_back(std::string{log::name(r.severity)} + " " + std::string{r.who} + " " +
                      std::string{r.text});
  });
  asio::io_context io;
  ttrpc::test::socket_pair sockets;
  ttrpc::test::peer guest{io, std::move(sockets.theirs)};
  int ends = 0;
  std::optional<log_forwarder> forwarder;
  forwarder.emplace(sockets.give(io), "sandbox/s1/guest", [&] { ++ends; });
  guest.write("{\"msg\":\"hello\",\"level\":\"WARN\"}\nplain\n");
  CHECK(run_until(io, [&] { return records.size() == 2; }));
  guest.close();
  CHECK(run_until(io, [&] { return ends == 1; }));
  forwarder.reset();
  io.restart();
  io.poll();
  log::set_sink({});
  CHECK(ends == 1);
  CHECK(records ==
        std::vector<std::string>{"warn sandbox/s1/guest hello", "info sandbox/s1/guest plain"});
}
