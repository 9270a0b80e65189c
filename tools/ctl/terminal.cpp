#include "tools/ctl/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace troupe::ctl {

window window_size() {
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0)
    return {};
  return {size.ws_col, size.ws_row};
}

outcome<raw_terminal> raw_terminal::enter() {
  termios before{};
  if (::tcgetattr(STDIN_FILENO, &before) != 0)
    return fail(errc::failed_precondition, "--tty: standard input is no terminal");
  auto raw = before;
  ::cfmakeraw(&raw);
  if (::tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
    return fail_errno("--tty: tcsetattr", errno);
  return raw_terminal{before};
}

raw_terminal::raw_terminal(raw_terminal&& other) noexcept
    : before_(other.before_), ours_(std::exchange(other.ours_, false)) {}

raw_terminal::~raw_terminal() {
  if (ours_)
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

progress_line::progress_line() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void progress_line::show(const std::string& text) {
  if (!terminal_)
    return;
  std::fprintf(stderr, "\r\033[K%s", text.c_str());
  shown_ = true;
}

void progress_line::clear() {
  if (std::exchange(shown_, false))
    std::fprintf(stderr, "\r\033[K");
}

} // namespace troupe::ctl
