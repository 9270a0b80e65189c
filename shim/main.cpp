// containerd-shim-troupe-v2: start, delete, and the way to the daemon. Links no CAF: it runs twice
// per container and is gone in milliseconds.

#include "actors/sandbox/pod/run_folders.hpp"
#include "shim/bootstrap.hpp"
#include "shim/command_line.hpp"
#include "shim/info.hpp"
#include "shim/remove.hpp"
#include "shim/spawn.hpp"
#include "shim/start.hpp"

#include <unistd.h>

#include <cstdio>
#include <span>

namespace {

using namespace troupe;

/// containerd reads standard output as the answer, byte for byte.
int say(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}

int complain(const failure& why) {
  std::fprintf(stderr, "containerd-shim-troupe-v2: %s\n", why.to_string().c_str());
  return 1;
}

outcome<void> become_daemon(char** argv) {
  const auto daemon = shim::daemon_path(TRY(shim::own_executable()));
  ::execv(daemon.c_str(), argv);
  return fail_errno("exec " + daemon, errno);
}

outcome<std::string> act(const shim::command_line& line, char** argv) {
  switch (line.what) {
  case shim::action::start:
    return shim::start(line);
  case shim::action::remove:
    return shim::remove(line);
  case shim::action::version:
    return shim::version_line() + "\n";
  case shim::action::info:
    TRY(shim::read_to_end(STDIN_FILENO));
    return shim::runtime_info();
  case shim::action::help:
    return std::string{shim::usage()};
  case shim::action::run:
    TRY(become_daemon(argv));
  }
  return std::string{};
}

} // namespace

int main(int argc, char** argv) {
  const std::span<const char* const> arguments{argv + 1, static_cast<std::size_t>(argc - 1)};
  const auto line = shim::parse_command_line(arguments);
  if (!line)
    return complain(line.error());
  const auto answer = act(*line, argv);
  if (!answer)
    return complain(answer.error());
  return say(*answer);
}
