#include "tools/bench/command_line.hpp"
#include "tools/bench/bench.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace troupe::bench;

namespace {
parsed parse(std::vector<const char*> words) {
  return parse_words(words);
}
} // namespace

TEST_CASE("command line: a bench by its name, n by default or as given, --json as it is anyway") {
  const auto plain = parse({"ctr-run"});
  REQUIRE(plain.what);
  CHECK(plain.what->name == "ctr-run");
  CHECK(plain.what->n == find_bench("ctr-run")->default_n);
  const auto given = parse({"shim-memory", "--n", "3", "--json"});
  REQUIRE(given.what);
  CHECK(given.what->name == "shim-memory");
  CHECK(given.what->n == 3);
}

TEST_CASE("command line: --list needs no name") {
  const auto list = parse({"--list"});
  REQUIRE(list.what);
  CHECK(list.what->list);
}

TEST_CASE("command line: help is no mistake") {
  const auto help = parse({"--help"});
  CHECK_FALSE(help.what);
  CHECK(help.status == 0);
  CHECK(help.text.find("--list") != std::string::npos);
}

TEST_CASE("command line: every wrong line is refused with status 2 by the word that is wrong") {
  const auto refused = [](std::vector<const char*> words, const char* why) {
    const auto line = parse(std::move(words));
    INFO(line.text);
    CHECK_FALSE(line.what);
    CHECK(line.status == 2);
    CHECK(line.text.find(why) != std::string::npos);
  };
  refused({}, "NAME");
  refused({"no-such"}, "'no-such' is no bench");
  refused({"ctr-run", "--n", "0"}, "--n");
  refused({"ctr-run", "--n", "100001"}, "--n");
  refused({"ctr-run", "--n", "-1"}, "--n");
  refused({"ctr-run", "--n", "ten"}, "--n");
  refused({"ctr-run", "other"}, "other");
  refused({"ctr-run", "--wrong"}, "--wrong");
}

TEST_CASE("registry: names are unique, lower case, and none is without a body") {
  std::vector<std::string_view> seen;
  for (const auto& each : all_benches()) {
    CHECK(each.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
          std::string_view::npos);
    CHECK(std::ranges::find(seen, each.name) == seen.end());
    CHECK(each.run != nullptr);
    CHECK(each.default_n >= 1);
    seen.push_back(each.name);
  }
}
