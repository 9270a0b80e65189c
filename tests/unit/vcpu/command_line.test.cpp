#include "actors/vcpu/boot/command_line.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace troupe;
using boot::command_line;

TEST_CASE("command line: words of every kind, stand in the order of the calls") {
  command_line it;
  REQUIRE(it.flag("quiet"));
  REQUIRE(it.option("panic", "-1"));
  REQUIRE(it.option("empty", ""));
  REQUIRE(it.device({{0xd0001000, 0x1000}, 6}));
  REQUIRE(it.append("  a=\"b c\" d  "));
  CHECK(it.text() == "quiet panic=-1 empty= virtio_mmio.device=0x1000@0xd0001000:6 a=\"b c\" d");
}

TEST_CASE("command line: a value with blanks, is quoted; one with a quote cannot be said") {
  command_line it;
  REQUIRE(it.option("dyndbg", "file a +p"));
  CHECK(it.text() == "dyndbg=\"file a +p\"");
  CHECK(it.option("x", "a\"b").error().text == "command line: a quote in the value of x");
  CHECK(it.text() == "dyndbg=\"file a +p\"");
}

TEST_CASE("command line: a control character, is refused wherever it is") {
  command_line it;
  for (const char bad : {'\0', '\n', '\r', '\t', '\x1b', '\x7f'}) {
    CAPTURE(static_cast<int>(bad));
    const std::string text{'a', bad, 'b'};
    CHECK(it.flag(text).error().code == errc::invalid_argument);
    CHECK(it.option(text, "x").error().code == errc::invalid_argument);
    CHECK(it.option("x", text).error().code == errc::invalid_argument);
    CHECK(it.append(text).error().code == errc::invalid_argument);
    CHECK(it.append(text).error().text.find(bad) == std::string::npos);
  }
  CHECK(it.text().empty());
  CHECK(it.option("name", "Bj\xc3\xb6rn")); // Not ASCII is not control.
}

TEST_CASE("command line: a name that would become something else, is refused") {
  command_line it;
  for (const auto* name : {"", "a b", "a=b", "\"a"}) {
    CAPTURE(name);
    CHECK(it.flag(name).error().code == errc::invalid_argument);
    CHECK(it.option(name, "x").error().code == errc::invalid_argument);
  }
}

TEST_CASE("command line: an open quote, would swallow what follows and is refused") {
  command_line it;
  CHECK(it.append("a=\"b c").error().code == errc::invalid_argument);
  CHECK(it.append("a=\"b c\"\"").error().code == errc::invalid_argument);
  REQUIRE(it.append("a=\"b c\""));
}

TEST_CASE("command line: behind a word --, nothing can be added") {
  command_line it;
  REQUIRE(it.append("a --b c-- \"-- d\" e"));
  REQUIRE(it.append("init=/x -- y"));
  CHECK(it.flag("quiet").error().code == errc::invalid_argument);
  CHECK(it.device({{0xd0000000, 0x1000}, 5}).error().code == errc::invalid_argument);
  CHECK(it.append("   ")); // Nothing is nothing.
  CHECK(it.text() == "a --b c-- \"-- d\" e init=/x -- y");
}

TEST_CASE("command line: 2047 bytes fit, one more does not") {
  command_line it;
  REQUIRE(it.append(std::string(2045, 'x')));
  CHECK(it.flag("yy").error().code == errc::invalid_argument);
  REQUIRE(it.flag("y"));
  CHECK(it.text().size() == boot::max_command_line);
  CHECK(it.append("z").error().code == errc::invalid_argument);
  CHECK(command_line{}.append(std::string(2048, 'x')).error().code == errc::invalid_argument);
}
