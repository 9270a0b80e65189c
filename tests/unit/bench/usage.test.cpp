#include "tools/bench/usage.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <unistd.h>

using namespace troupe;
using namespace troupe::bench;

namespace {

constexpr auto status = "Name:\tshim-daemon\nPPid:\t1\nVmRSS:\t   13200 kB\nRssAnon:\t    2400 kB\n"
                        "RssFile:\t   10800 kB\nThreads:\t12\n";
constexpr auto rollup = "5600-7fff ---p 00000000 00:00 0    [rollup]\nRss:               13200 kB\n"
                        "Pss:                4100 kB\nPss_Dirty:          2450 kB\n";

} // namespace

TEST_CASE("usage: figures come from their own lines, not from lines that begin alike") {
  const auto parsed = parse_usage(status, rollup);
  REQUIRE(parsed);
  CHECK(*parsed == usage{2400, 13200, 4100, 12});
}

TEST_CASE("usage: a line that is missing is named") {
  const auto without_pss = parse_usage(status, "Rss: 1 kB\nPss_Dirty: 5 kB\n");
  REQUIRE_FALSE(without_pss);
  CHECK(without_pss.error().code == errc::corrupt);
  CHECK(without_pss.error().text == "Pss: is not told");
  CHECK(parse_usage("Threads:\tmany\n", rollup).error().text == "RssAnon: is not told");
}

TEST_CASE("usage: this process is listed and can be read") {
  const auto all = list_processes();
  const auto self = std::ranges::find(all, ::getpid(), &process::pid);
  REQUIRE(self != all.end());
  CHECK(self->parent == ::getppid());
  CHECK(self->argv.front().find("test.bench") != std::string::npos);
  const auto mine = read_usage(::getpid());
  REQUIRE(mine);
  CHECK(mine->threads == 1);
  CHECK(mine->pss_kb > 0);
  CHECK(mine->pss_kb <= mine->rss_kb);
}
