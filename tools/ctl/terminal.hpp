#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <termios.h>

#include <cstdint>

namespace troupe::ctl {

struct window {
  std::uint32_t columns = 0;
  std::uint32_t rows = 0;
};

/// Size of the terminal on standard input; zeros when there is none.
[[nodiscard]] window window_size();

/// The terminal on standard input passes every byte on while this lives.
class raw_terminal {
public:
  /// failed_precondition: standard input is no terminal.
  [[nodiscard]] static outcome<raw_terminal> enter();
  raw_terminal(raw_terminal&& other) noexcept;
  raw_terminal& operator=(raw_terminal&&) = delete;
  ~raw_terminal();

private:
  explicit raw_terminal(const termios& before) : before_(before) {}
  termios before_;
  bool ours_ = true;
};

/// One line on standard error that is overwritten by the next; nothing without a terminal there.
class progress_line {
public:
  progress_line();
  ~progress_line() { clear(); }
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;
  void show(const std::string& text);
  void clear();

private:
  bool terminal_;
  bool shown_ = false;
};

} // namespace troupe::ctl
