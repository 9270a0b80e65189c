#include "actors/vcpu/boot/command_line.hpp"

#include <algorithm>

namespace troupe::boot {
namespace {

constexpr bool is_control(char c) noexcept {
  return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
}

// For failures: a text that may hold anything.
std::string shown(std::string_view text) {
  constexpr std::size_t enough = 64;
  std::string out{text.substr(0, enough)};
  std::ranges::replace_if(out, is_control, '?');
  return out;
}

outcome<void> check_name(std::string_view name) {
  const auto bad = [](char c) { return is_control(c) || c == ' ' || c == '"' || c == '='; };
  if (name.empty() || std::ranges::any_of(name, bad))
    return fail(errc::invalid_argument, "command line: no name of a parameter: \"{}\"",
                shown(name));
  return {};
}

// Whether `words` hold a word `--` outside of quotes.
bool ends_parameters(std::string_view words) {
  bool quoted = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= words.size(); ++i) {
    if (i < words.size() && words[i] == '"')
      quoted = !quoted;
    if (i < words.size() && (words[i] != ' ' || quoted))
      continue;
    if (words.substr(start, i - start) == "--")
      return true;
    start = i + 1;
  }
  return false;
}

std::string_view trimmed(std::string_view words) {
  const auto first = words.find_first_not_of(' ');
  if (first == std::string_view::npos)
    return {};
  return words.substr(first, words.find_last_not_of(' ') - first + 1);
}

} // namespace

outcome<void> command_line::add(std::string_view words) {
  if (std::ranges::any_of(words, is_control))
    return fail(errc::invalid_argument, "command line: a control character in \"{}\"",
                shown(words));
  if (closed_)
    return fail(errc::invalid_argument, "command line: \"{}\" would be behind \"--\"",
                shown(words));
  const auto size = text_.size() + (text_.empty() ? 0 : 1) + words.size();
  if (size > max_command_line)
    return fail(errc::invalid_argument, "command line: {} bytes with \"{}\", at most {}", size,
                shown(words), max_command_line);
  if (!text_.empty())
    text_ += ' ';
  text_ += words;
  closed_ = ends_parameters(words);
  return {};
}

outcome<void> command_line::flag(std::string_view name) {
  TRY(check_name(name));
  return add(name);
}

outcome<void> command_line::option(std::string_view name, std::string_view value) {
  TRY(check_name(name));
  if (value.find('"') != std::string_view::npos)
    return fail(errc::invalid_argument, "command line: a quote in the value of {}", name);
  const auto* const quote = value.find(' ') == std::string_view::npos ? "" : "\"";
  return add(fmt::format("{}={}{}{}", name, quote, value, quote));
}

outcome<void> command_line::device(const memory::device_window& where) {
  return add(fmt::format("virtio_mmio.device={:#x}@{:#x}:{}", where.registers.size,
                         where.registers.start, where.gsi));
}

outcome<void> command_line::append(std::string_view words) {
  words = trimmed(words);
  if (words.empty())
    return {};
  if (std::ranges::count(words, '"') % 2 != 0)
    return fail(errc::invalid_argument, "command line: an open quote in \"{}\"", shown(words));
  return add(words);
}

} // namespace troupe::boot
