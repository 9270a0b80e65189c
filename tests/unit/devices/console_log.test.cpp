#include "actors/devices/console/console_log.hpp"
#include "messages/vocabulary/log.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::console;

TEST_CASE("lines: control bytes become dots, long lines are cut, the last one needs no end") {
  std::vector<std::string> seen;
  text_lines lines{[&](const std::string& line) { seen.push_back(line); }};
  lines.feed("a\033[31mb\x7f\r\n\n\tc");
  lines.feed(std::string(5000, 'd') + "\ne");
  lines.finish();
  CHECK(seen ==
        std::vector<std::string>{"a.[31mb.", "\tc" + std::string(max_text_line - 2, 'd'), "e"});
}

TEST_CASE("lines: a tail keeps the last ones") {
  tail last{2};
  for (const char* line : {"a", "b", "c"})
    last.push(line);
  CHECK(last.lines() == std::vector<std::string>{"b", "c"});
  CHECK(last.joined() == "b | c");
}

TEST_CASE("lines: a budget passes so many a window and tells what it dropped, once") {
  line_budget budget{2, 1000};
  CHECK(budget.spend(5000).pass);
  CHECK(budget.spend(5001).pass);
  CHECK_FALSE(budget.spend(5002).pass);
  CHECK_FALSE(budget.spend(5999).pass);
  const auto next = budget.spend(6000);
  CHECK(next.pass);
  CHECK(next.dropped_before == 2);
  CHECK(budget.spend(7000).dropped_before == 0);
}

TEST_CASE("console log: lines go to the log, a flood does not, and the last ones are kept") {
  std::size_t logged = 0;
  log::set_sink([&](const log::record& it) { logged += it.who == "console" ? 1 : 0; });
  console_log it{3};
  it.belongs_to("p1");
  for (int i = 0; i < 2000; ++i)
    it.feed("line " + std::to_string(i) + "\n");
  it.feed("Kernel panic - not syncing: x\nlast");
  it.finish();
  log::set_sink({});
  CHECK(logged >= 500);
  CHECK(logged < 2000);
  CHECK(it.tail() ==
        std::vector<std::string>{"line 1999", "Kernel panic - not syncing: x", "last"});
  CHECK(it.panic_line() == "Kernel panic - not syncing: x");
}
