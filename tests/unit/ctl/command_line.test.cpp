#include "tools/ctl/command_line.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace troupe::ctl;

namespace {

parsed parse(std::vector<const char*> words) {
  return parse_words(words);
}

} // namespace

TEST_CASE("command line: what follows the first -- is the workload's, whatever it is") {
  const auto got = parse({"run", "--rootfs", "/r", "-e", "A=1", "--env", "B=2", "--tty", "--", "ps",
                          "--json", "--", "-x"});
  REQUIRE(got.what);
  const auto& run = std::get<run_options>(*got.what);
  CHECK(run.rootfs == "/r");
  CHECK(run.env == std::vector<std::string>{"A=1", "B=2"});
  CHECK(run.terminal);
  CHECK_FALSE(run.json);
  CHECK(run.command == std::vector<std::string>{"ps", "--json", "--", "-x"});
}

TEST_CASE("command line: an image may bring its command, a folder cannot") {
  CHECK(parse({"run", "--image", "i.tar"}).what);
  const auto folder = parse({"run", "--rootfs", "/r"});
  CHECK(folder.status == 2);
  CHECK(folder.text == "run: -- COMMAND is needed with --rootfs\n");
}

TEST_CASE("command line: a hypervisor is one of the configuration's names, or not said") {
  for (const char* name : {"auto", "qemu", "builtin"}) {
    const auto got = parse({"run", "--hypervisor", name, "--rootfs", "/r", "--", "sh"});
    REQUIRE(got.what);
    CHECK(std::get<run_options>(*got.what).hypervisor == name);
  }
  const auto silent = parse({"run", "--rootfs", "/r", "--", "sh"});
  REQUIRE(silent.what);
  CHECK(std::get<run_options>(*silent.what).hypervisor.empty());
  const auto wrong = parse({"run", "--hypervisor", "xen", "--rootfs", "/r", "--", "sh"});
  CHECK(wrong.status == 2);
  CHECK(wrong.text == "run: --hypervisor: \"xen\" is not auto, qemu or builtin\n");
}

TEST_CASE("command line: a wrong word is named, with status 2") {
  CHECK(parse({"run", "--", "sh"}).text == "run: --rootfs or --image is needed\n");
  CHECK(parse({"run", "--rootfs", "/r", "--image", "i", "--", "sh"}).status == 2);
  CHECK(parse({"run", "--rootfs", "/r", "-e", "=1", "--", "sh"}).text ==
        "--env: \"=1\" is not KEY=VALUE\n");
  CHECK(parse({"run", "--rootfs", "/r", "--cwd", "tmp", "--", "sh"}).text ==
        "--cwd: \"tmp\" is not absolute\n");
  CHECK(parse({"exec", "p1"}).text == "exec: -- COMMAND is needed\n");
  CHECK(parse({"ps", "--", "sh"}).text == "ps: takes no command\n");
  CHECK(parse({"kill", "p1", "-s", "NOSUCH"}).text == "kill: --signal: no signal NOSUCH\n");
  CHECK(parse({"fly"}).status == 2);
  CHECK(parse({}).status == 2);
}

TEST_CASE("command line: help goes to standard output with status 0") {
  const auto got = parse({"run", "--help"});
  CHECK_FALSE(got.what);
  CHECK(got.status == 0);
  CHECK(got.text.find("--rootfs") != std::string::npos);
  CHECK(got.text.find("--hypervisor") != std::string::npos);
}

TEST_CASE("command line: a signal has a name, with or without SIG, or a number") {
  CHECK(parse_signal("TERM") == SIGTERM);
  CHECK(parse_signal("SIGKILL") == SIGKILL);
  CHECK(parse_signal("usr1") == SIGUSR1);
  CHECK(parse_signal("15") == 15U);
  CHECK_FALSE(parse_signal("0"));
  CHECK_FALSE(parse_signal("65"));
  CHECK_FALSE(parse_signal("15x"));
  CHECK_FALSE(parse_signal(""));
}
