#include "actors/container/io/stdio_pump.hpp"
#include "tests/unit/container/io_streams.hpp"

using namespace troupe;
using namespace troupe::stdio;
using namespace troupe::stdio::test;

namespace {

struct bench {
  asio::io_context io;
  fifo_folder folder;
  std::shared_ptr<memory_streams> source = std::make_shared<memory_streams>(io);
  std::vector<stdio_report> reports;
  std::optional<stdio_pump> pump;

  ~bench() {
    pump.reset();
    turn();
  }
  void open(const stdio_paths& paths) {
    auto opened =
        stdio_pump::open(io, paths, [this](const stdio_report& r) { reports.push_back(r); });
    REQUIRE(opened);
    pump.emplace(*std::move(opened));
  }
  void end_outputs() {
    source->end(output::out);
    source->end(output::err);
  }
  stdio_report wait_report(std::size_t count = 1) {
    REQUIRE(run_until(io, [&] { return reports.size() >= count; }));
    REQUIRE(reports.size() == count);
    return reports.back();
  }
  std::size_t turn() {
    io.restart();
    return io.poll();
  }
};

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<char>((i * 2654435761U) >> 13);
  return bytes;
}

} // namespace

TEST_CASE(
    "stdio pump: what was printed before anybody reads waits in the fifo, then comes the end") {
  bench b;
  const auto out = b.folder.fifo("out");
  const auto err = b.folder.fifo("err");
  b.open({.in = "", .out = out, .err = err});
  b.pump->start(b.source);
  b.source->print(output::out, "to out\n");
  b.source->print(output::err, "to err\n");
  b.end_outputs();
  const auto report = b.wait_report();
  CHECK(report.out.bytes == 7);
  CHECK(report.err.bytes == 7);
  CHECK_FALSE(report.out.failed);

  const auto late = open_end(out, O_RDONLY);
  CHECK(read_now(late.get()).bytes == "to out\n");
  CHECK(read_now(late.get()).ended);
  CHECK(read_now(open_end(err, O_RDONLY).get()).bytes == "to err\n");
}

TEST_CASE("stdio pump: 10 MiB printed just before the end arrive whole, by the reader's pace") {
  bench b;
  const auto out = b.folder.fifo("out");
  b.open({.in = "", .out = out, .err = ""});
  const auto reader = open_end(out, O_RDONLY);
  const auto sent = pattern(10U << 20);
  b.pump->start(b.source);
  b.source->print(output::out, sent);
  b.end_outputs();
  std::string got;
  REQUIRE(run_until(b.io, [&] {
    const auto [bytes, ended] = read_now(reader.get(), 50'000);
    got += bytes;
    return ended;
  }));
  CHECK(got == sent);
  CHECK(b.wait_report().out.bytes == sent.size());
}

TEST_CASE("stdio pump: a reader that stops holds up its own stream only") {
  bench b;
  const auto out = b.folder.fifo("out");
  const auto err = b.folder.fifo("err");
  b.open({.in = "", .out = out, .err = err});
  const auto slow = open_end(out, O_RDONLY);
  const auto quick = open_end(err, O_RDONLY);
  b.pump->start(b.source);
  b.source->print(output::out, pattern(1U << 20));
  const auto sent = pattern(512U << 10);
  b.source->print(output::err, sent);
  std::string got;
  REQUIRE(run_until(b.io, [&] {
    got += read_now(quick.get()).bytes;
    return got.size() == sent.size();
  }));
  CHECK(got == sent);
  const auto asked = b.source->left[output::out].size();
  CHECK(asked > (1U << 20) - 3 * read_size);
  b.turn();
  CHECK(b.source->left[output::out].size() == asked);
  CHECK(b.reports.empty());
}

TEST_CASE("stdio pump: offsets acknowledge what is written and no more") {
  bench b;
  b.open({.in = "", .out = b.folder.fifo("out"), .err = ""});
  b.pump->start(b.source);
  b.source->print(output::out, "12345");
  run_until(b.io, [&] { return b.source->offsets[output::out].size() == 2; });
  b.source->print(output::out, std::string(read_size + 7, 'x'));
  b.turn();
  // The fifo holds 64 KiB: the second piece does not fit, so the third is not asked for.
  CHECK(b.source->offsets[output::out] == std::vector<std::uint64_t>{0, 5});
}

TEST_CASE("stdio pump: without paths outputs are read and dropped, and stdin ends at once") {
  bench b;
  b.open({});
  b.pump->start(b.source);
  b.source->print(output::out, "nobody");
  b.end_outputs();
  const auto report = b.wait_report();
  CHECK(report.out.bytes == 6);
  CHECK(report.out.lost == 0);
  CHECK(b.source->input_closed == 1);
}

TEST_CASE("stdio pump: a terminal has no stderr, and its path is not even opened") {
  bench b;
  b.open({.in = "", .out = b.folder.fifo("out"), .err = "/nowhere", .terminal = true});
  b.pump->start(b.source);
  b.source->end(output::out);
  static_cast<void>(b.wait_report());
  CHECK(b.source->offsets[output::err].empty());
}

TEST_CASE("stdio pump: stdin arrives however little is taken at a time, and its end after it") {
  bench b;
  const auto in = b.folder.fifo("in");
  b.open({.in = in, .out = "", .err = ""});
  auto writer = open_end(in, O_WRONLY);
  b.source->take_at_most = 3;
  b.pump->start(b.source);
  REQUIRE(::write(writer.get(), "hello world", 11) == 11);
  REQUIRE(run_until(b.io, [&] { return b.source->input.size() == 11; }));
  CHECK(b.source->input == "hello world");
  REQUIRE(::write(writer.get(), "!", 1) == 1);
  b.pump->close_stdin();
  b.turn();
  CHECK(b.source->input_closed == 0);
  writer.reset();
  REQUIRE(run_until(b.io, [&] { return b.source->input_closed == 1; }));
  CHECK(b.source->input == "hello world!");
  b.end_outputs();
  CHECK(b.wait_report().in.bytes == 12);
}

TEST_CASE(
    "stdio pump: the last writer's leaving ends stdin without CloseIO, a late first one not") {
  bench b;
  const auto in = b.folder.fifo("in");
  b.open({.in = in, .out = "", .err = ""});
  b.pump->start(b.source);
  while (b.turn() > 0) {
  }
  CHECK(b.source->input_closed == 0);
  REQUIRE(::write(open_end(in, O_WRONLY).get(), "a", 1) == 1);
  REQUIRE(run_until(b.io, [&] { return b.source->input_closed == 1; }));
  CHECK(b.source->input == "a");
}

TEST_CASE(
    "stdio pump: a writer that came and left before the start is heard, and its leaving too") {
  bench b;
  const auto in = b.folder.fifo("in");
  b.open({.in = in, .out = "", .err = ""});
  REQUIRE(::write(open_end(in, O_WRONLY).get(), "a", 1) == 1);
  b.pump->start(b.source);
  REQUIRE(run_until(b.io, [&] { return b.source->input_closed == 1; }));
  CHECK(b.source->input == "a");
}

TEST_CASE("stdio pump: CloseIO ends a stdin that nobody ever opened") {
  bench b;
  b.open({.in = b.folder.fifo("in"), .out = "", .err = ""});
  b.pump->start(b.source);
  b.pump->close_stdin();
  REQUIRE(run_until(b.io, [&] { return b.source->input_closed == 1; }));
}

TEST_CASE(
    "stdio pump: on a terminal a writer that leaves ends nothing and costs no turns; the next "
    "one goes on") {
  bench b;
  const auto in = b.folder.fifo("in");
  b.open({.in = in, .out = "", .err = "", .terminal = true});
  b.pump->start(b.source);
  REQUIRE(::write(open_end(in, O_WRONLY).get(), "a", 1) == 1);
  REQUIRE(run_until(b.io, [&] { return b.source->input == "a"; }));
  while (b.turn() > 0) {
  }
  CHECK(b.turn() == 0);
  CHECK(b.source->input_closed == 0);
  REQUIRE(::write(open_end(in, O_WRONLY).get(), "b", 1) == 1);
  CHECK(run_until(b.io, [&] { return b.source->input == "ab"; }));
}

TEST_CASE(
    "stdio pump: CloseIO before start is remembered, and what was written before it is read") {
  bench b;
  const auto in = b.folder.fifo("in");
  b.open({.in = in, .out = "", .err = ""});
  REQUIRE(::write(open_end(in, O_WRONLY).get(), "early", 5) == 5);
  b.pump->close_stdin();
  b.turn();
  CHECK(b.source->input.empty());
  b.pump->start(b.source);
  REQUIRE(run_until(b.io, [&] { return b.source->input_closed == 1; }));
  CHECK(b.source->input == "early");
}

TEST_CASE("stdio pump: a process that takes no more stdin ends that stream alone") {
  bench b;
  const auto in = b.folder.fifo("in");
  b.open({.in = in, .out = "", .err = ""});
  const auto writer = open_end(in, O_WRONLY);
  b.source->write_fails = failure{errc::not_found, "WriteStdin: gone", 0};
  b.pump->start(b.source);
  REQUIRE(::write(writer.get(), "abc", 3) == 3);
  while (b.turn() > 0) {
  }
  b.end_outputs();
  const auto report = b.wait_report();
  REQUIRE(report.in.failed);
  CHECK(report.in.failed->code == errc::not_found);
  CHECK(report.in.lost == 3);
  CHECK_FALSE(report.out.failed);
}

TEST_CASE("stdio pump: a full disk loses the bytes, says so, and does not hold up the process") {
  bench b;
  b.open({.in = "", .out = "file:///dev/full", .err = ""});
  b.pump->start(b.source);
  b.source->print(output::out, std::string(100'000, 'x'));
  b.end_outputs();
  const auto report = b.wait_report();
  CHECK(report.out.bytes == 0);
  CHECK(report.out.lost == 100'000);
  REQUIRE(report.out.failed);
  CHECK(report.out.failed->text == "stdout: write: No space left on device");
}

TEST_CASE(
    "stdio pump: a lost source is reported; a new one goes on at the first byte not written") {
  bench b;
  const auto out = b.folder.fifo("out");
  b.open({.in = "", .out = out, .err = ""});
  b.pump->start(b.source);
  b.source->print(output::out, "first ");
  b.source->end(output::err);
  REQUIRE(run_until(b.io, [&] { return b.source->offsets[output::out].size() == 2; }));
  b.source->fail_read(output::out, {errc::agent_gone, "ReadStdout: connection lost", 0});
  const auto lost = b.wait_report();
  REQUIRE(lost.out.failed);
  CHECK(lost.out.failed->code == errc::agent_gone);

  const auto next = std::make_shared<memory_streams>(b.io);
  b.pump->resume(next);
  next->print(output::out, "second");
  next->end(output::out);
  const auto whole = b.wait_report(2);
  CHECK_FALSE(whole.out.failed);
  CHECK(whole.out.bytes == 12);
  CHECK(next->offsets[output::out] == std::vector<std::uint64_t>{6, 12});
  CHECK(next->offsets[output::err].empty());
  CHECK(read_now(open_end(out, O_RDONLY).get()).bytes == "first second");
}

TEST_CASE("stdio pump: a source whose process is gone has reached its end") {
  bench b;
  b.open({});
  b.pump->start(b.source);
  b.source->fail_read(output::out, {errc::not_found, "ReadStdout: no process", 0});
  b.source->fail_read(output::err, {errc::not_found, "ReadStderr: no process", 0});
  CHECK_FALSE(b.wait_report().out.failed);
}

TEST_CASE("stdio pump: a source that gives more than was asked for lies") {
  bench b;
  b.open({});
  b.source->give_beyond = 1;
  b.pump->start(b.source);
  b.source->print(output::out, std::string(read_size + 1, 'x'));
  b.source->end(output::err);
  const auto report = b.wait_report();
  REQUIRE(report.out.failed);
  CHECK(report.out.failed->code == errc::guest_fault);
}

TEST_CASE("stdio pump: closed, it says nothing more and lets go of every fifo") {
  bench b;
  const auto out = b.folder.fifo("out");
  const auto in = b.folder.fifo("in");
  b.open({.in = in, .out = out, .err = ""});
  const auto writer = open_end(in, O_WRONLY);
  b.pump->start(b.source);
  b.source->print(output::out, std::string(200'000, 'x'));
  b.turn();
  b.pump->close();
  b.end_outputs();
  while (b.turn() > 0) {
  }
  CHECK(b.reports.empty());
  CHECK(::open(out.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC) == -1);
  CHECK(errno == ENXIO);
}

TEST_CASE("stdio pump: when one path is bad nothing stays open") {
  bench b;
  const auto in = b.folder.fifo("in");
  const auto opened = stdio_pump::open(b.io, {.in = in, .out = "/nowhere/out", .err = ""}, nullptr);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().text == "stdout: open /nowhere/out: No such file or directory");
  CHECK(::open(in.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC) == -1);
}
