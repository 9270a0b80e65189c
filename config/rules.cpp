#include "config/keys.hpp"

#include "config/pattern.hpp"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace troupe::config {

namespace {

using strings = std::span<const std::string_view>;

outcome<void> check_words(std::string_view text) {
  const auto fits = [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("_=+,.-").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!std::ranges::all_of(text, fits))
    return fail(errc::invalid_argument, "may hold letters, digits and _=+,.- only");
  return {};
}

outcome<void> check_path(std::string_view text) {
  if (!text.starts_with('/'))
    return fail(errc::invalid_argument, "must be an absolute path");
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('/', at), text.size());
    const auto part = text.substr(at, end - at);
    if (part == "." || part == "..")
      return fail(errc::invalid_argument, "must not contain '.' or '..'");
    at = end + 1;
  }
  return {};
}

outcome<void> check_choice(std::string_view text, strings choices) {
  if (std::ranges::find(choices, text) != choices.end())
    return {};
  const auto all = std::accumulate(
      choices.begin(), choices.end(), std::string{}, [](std::string so_far, std::string_view next) {
        return so_far.empty() ? std::string(next) : std::move(so_far) + ", " + std::string(next);
      });
  return fail(errc::invalid_argument, "\"{}\" is none of: {}", text, all);
}

} // namespace

outcome<void> check_text(std::string_view text, text_rule rule, strings choices) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(text, control))
    return fail(errc::invalid_argument, "must not contain control characters");
  switch (rule) {
  case text_rule::line:
    return {};
  case text_rule::words:
    return check_words(text);
  case text_rule::path:
  case text_rule::globs:
    return check_path(text);
  case text_rule::choice:
    return check_choice(text, choices);
  case text_rule::patterns:
    TRY(pattern::compile(std::string(text)));
    return {};
  }
  return {};
}

namespace {

/// Levenshtein's distance, one row at a time.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto replaced = diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

/// Words beyond it are no typing errors; keeps the quadratic search short.
constexpr std::size_t longest_typo = 64;

} // namespace

std::optional<std::string_view> nearest(std::string_view word,
                                        const std::vector<std::string_view>& names) {
  if (word.size() > longest_typo)
    return std::nullopt;
  std::optional<std::string_view> best;
  std::size_t least = word.size() / 3 + 1;
  for (const auto name : names)
    if (const auto d = distance(word, name); d < least) {
      least = d;
      best = name;
    }
  return best;
}

} // namespace troupe::config
