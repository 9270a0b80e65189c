#include "actors/devices/console/lines.hpp"

#include <utility>

namespace troupe::console {
namespace {

constexpr char first_printable = ' ';
constexpr char delete_character = 0x7f;

char harmless(char c) {
  const bool text = static_cast<unsigned char>(c) >= static_cast<unsigned char>(first_printable);
  return (text && c != delete_character) || c == '\t' ? c : '.';
}

} // namespace

void text_lines::feed(std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n')
      finish();
    else if (c != '\r' && line_.size() < max_text_line)
      line_ += harmless(c);
  }
}

void text_lines::finish() {
  if (!line_.empty())
    on_line_(std::exchange(line_, {}));
}

void tail::push(std::string line) {
  lines_.push_back(std::move(line));
  if (lines_.size() > limit_)
    lines_.pop_front();
}

std::string tail::joined() const {
  std::string text;
  for (const auto& line : lines_)
    text += (text.empty() ? "" : " | ") + line;
  return text;
}

line_budget::verdict line_budget::spend(std::int64_t now_ms) noexcept {
  verdict result;
  if (now_ms - window_start_ >= window_ms_) {
    window_start_ = now_ms;
    used_ = 0;
    result.dropped_before = std::exchange(dropped_, 0);
  }
  result.pass = used_ < lines_;
  ++(result.pass ? used_ : dropped_);
  return result;
}

} // namespace troupe::console
