#include "shim/command_line.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace troupe;
using namespace troupe::shim;

namespace {
outcome<command_line> parse(std::vector<const char*> arguments) {
  return parse_command_line(arguments);
}
} // namespace

TEST_CASE("shim: containerd's start line is understood, with one dash or two, '=' or not") {
  const auto line = parse({"-namespace", "k8s.io", "--address=/run/c.sock", "-publish-binary",
                           "/usr/bin/containerd", "-id", "c1", "-debug", "start"});
  REQUIRE(line);
  CHECK(line->what == action::start);
  CHECK(line->containerd_namespace.str() == "k8s.io");
  CHECK(line->id.str() == "c1");
  CHECK(line->address == "/run/c.sock");
  CHECK(line->publish_binary == "/usr/bin/containerd");
  CHECK(line->debug);
}

TEST_CASE("shim: no action word means run") {
  const auto line = parse({"-namespace", "n", "-id", "c1"});
  REQUIRE(line);
  CHECK(line->what == action::run);
}

TEST_CASE("shim: help wins over version, version over info, info over an action") {
  CHECK(parse({"-info", "-v", "-help", "start"})->what == action::help);
  CHECK(parse({"-info", "-v"})->what == action::version);
  CHECK(parse({"-info", "start"})->what == action::info);
}

TEST_CASE("shim: every wrong line is refused by the name of its flag") {
  const auto text = [](std::vector<const char*> a) { return parse(std::move(a)).error().text; };
  CHECK(text({"-wrong", "x"}) == "-wrong: no such flag");
  CHECK(text({"-id"}) == "-id: needs a value");
  CHECK(text({"-namespace", "n", "start"}) == "-id: container id: must not be empty");
  CHECK(text({"-namespace", "../n", "-id", "c", "start"}).find("-namespace: namespace: ") == 0);
  CHECK(text({"-namespace", "n", "-id", "c", "stop"}) ==
        "action: 'stop' is neither start nor delete");
  CHECK(text({"-namespace", "n", "-id", "c", "start", "delete"}) ==
        "action: both 'start' and 'delete' given");
  CHECK(text({"-namespace", "n", "-id", "c", "delete"}) == "-bundle: delete needs it");
  const std::string huge(max_argument_length + 1, 'x');
  CHECK(text({huge.c_str()}) == "argument 1: longer than 4096 bytes");
}
