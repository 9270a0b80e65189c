#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::console {

/// Longest line taken from a console or from stderr; the guest decides what it writes, so the rest
/// of a longer line is dropped.
inline constexpr std::size_t max_text_line = 1024;

/// Cuts a byte stream into lines for people: control bytes become '.', so that a guest cannot play
/// tricks with the terminal that shows the log. Empty lines vanish.
class text_lines {
public:
  using handler = std::function<void(const std::string&)>;
  explicit text_lines(handler on_line) : on_line_(std::move(on_line)) {}

  void feed(std::string_view bytes);
  /// The stream ended: hands out what has no line end.
  void finish();

private:
  handler on_line_;
  std::string line_;
};

/// The last lines of a stream.
class tail {
public:
  explicit tail(std::size_t limit) : limit_(limit) {}
  void push(std::string line);
  [[nodiscard]] std::vector<std::string> lines() const { return {lines_.begin(), lines_.end()}; }
  /// "a | b | c", for an error text.
  [[nodiscard]] std::string joined() const;

private:
  std::size_t limit_;
  std::deque<std::string> lines_;
};

/// How many lines may pass in a window of time; guards the log against a flooding guest.
class line_budget {
public:
  line_budget(std::size_t lines, std::int64_t window_ms) : lines_(lines), window_ms_(window_ms) {}

  struct verdict {
    bool pass = false;
    /// Lines dropped in the window that has just ended; told once.
    std::size_t dropped_before = 0;
  };
  [[nodiscard]] verdict spend(std::int64_t now_ms) noexcept;

private:
  std::size_t lines_;
  std::int64_t window_ms_;
  std::int64_t window_start_ = 0;
  std::size_t used_ = 0;
  std::size_t dropped_ = 0;
};

} // namespace troupe::console
