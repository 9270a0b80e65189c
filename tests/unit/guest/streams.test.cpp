#include "guest/agent/core/reaper.hpp"
#include "guest/agent/core/signal_mask.hpp"
#include "guest/agent/launch/program.hpp"
#include "guest/agent/stdio/read_window.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace troupe;
using namespace troupe::guest;

namespace {

using taken = std::optional<std::string>;

} // namespace

TEST_CASE("read window: a plain reader gets each byte once") {
  read_window window;
  CHECK(window.take(4, std::nullopt).value() == taken{});
  window.append("abcdef");
  CHECK(window.take(4, std::nullopt).value() == taken{"abcd"});
  CHECK(window.take(4, std::nullopt).value() == taken{"ef"});
  window.finish();
  CHECK(window.take(4, std::nullopt).value() == taken{""});
}

TEST_CASE("read window: a reader that lost its answer asks for the same offset again") {
  read_window window;
  window.append("abcdef");
  CHECK(window.take(4, 0).value() == taken{"abcd"});
  CHECK(window.take(4, 0).value() == taken{"abcd"});
  CHECK(window.take(4, 4).value() == taken{"ef"});
  CHECK(window.take(4, 6).value() == taken{});
  window.finish();
  CHECK(window.take(4, 6).value() == taken{""});
}

TEST_CASE("read window: bytes let go and bytes not read yet are different errors") {
  read_window window;
  window.append("abcdef");
  REQUIRE(window.take(4, 4));
  CHECK(window.take(4, 3).error().code == errc::failed_precondition);
  CHECK(window.take(4, 7).error().code == errc::invalid_argument);
}

TEST_CASE("read window: acknowledging makes room, reading by offset does not") {
  read_window window;
  window.append(std::string(100, 'x'));
  CHECK(window.room() == max_window - 100);
  REQUIRE(window.take(50, 0));
  CHECK(window.room() == max_window - 100);
  REQUIRE(window.take(50, 50));
  CHECK(window.room() == max_window - 50);
}

TEST_CASE("exit code: a signal counts from 128") {
  CHECK(exit_code(7 << 8) == 7);
  CHECK(exit_code(SIGKILL) == 137);
}

TEST_CASE("signal mask: blocked, ignored and handled signals count as taken") {
  const std::string status = "Name:\tx\nSigPnd:\t0000000000000000\nSigBlk:\t0000000000000001\n"
                             "SigIgn:\t0000000000000002\nSigCgt:\t0000000000004000\n";
  CHECK(takes_signal(status, SIGHUP));  // 1, blocked
  CHECK(takes_signal(status, SIGINT));  // 2, ignored
  CHECK(takes_signal(status, SIGTERM)); // 15, handled
  CHECK_FALSE(takes_signal(status, SIGUSR1));
  CHECK_FALSE(takes_signal("", SIGTERM));
}

TEST_CASE("home directory: found by number, whatever else the file holds") {
  const std::string passwd =
      "root:x:0:0:root:/root:/bin/sh\nbroken\n::::\nu:x:1000:1:,,:/home/u:/b";
  CHECK(find_home(passwd, 0) == "/root");
  CHECK(find_home(passwd, 1000) == "/home/u");
  CHECK(find_home(passwd, 7).empty());
  CHECK(find_home("", 0).empty());
}
