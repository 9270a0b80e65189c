#include "guest/agent/boot/log_line.hpp"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::guest;

namespace {

wall_time at(std::int64_t nanoseconds) {
  return wall_time{
      std::chrono::duration_cast<wall_time::duration>(std::chrono::nanoseconds{nanoseconds})};
}

} // namespace

TEST_CASE("log line: one JSON object with kata-agent's keys, UTC to the nanosecond") {
  CHECK(format_log_line({log::level::warn, "sandbox", "up"}, at(1'700'000'000'000'000'042), 7) ==
        "{\"msg\":\"up\",\"level\":\"WARN\",\"ts\":\"2023-11-14T22:13:20.000000042Z\","
        "\"version\":\"0.1.0\",\"pid\":\"7\",\"name\":\"kata-agent\",\"source\":\"agent\","
        "\"subsystem\":\"sandbox\"}\n");
}

TEST_CASE("log line: what a container sent cannot break out of its string") {
  const auto line = format_log_line({log::level::info, "x", "a\"b\\c\nd\x01"}, at(0), 1);
  CHECK_THAT(line, Catch::Contains("\"msg\":\"a\\\"b\\\\c\\nd\\u0001\""));
  CHECK(line.find('\n') == line.size() - 1);
}

TEST_CASE("log line: a long text is cut") {
  const std::string text(max_log_text * 4, 'x');
  CHECK(format_log_line({log::level::info, "x", text}, at(0), 1).size() < max_log_text + 256);
}
