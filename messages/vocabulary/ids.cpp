#include "messages/vocabulary/ids.hpp"

#include <algorithm>

namespace troupe {
namespace {

bool alphanumeric(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool inner(char c) noexcept { return alphanumeric(c) || c == '.' || c == '_' || c == '-'; }

/// Hostile ids reach logs and error texts: show them bounded and printable.
std::string shown(std::string_view text) {
  std::string out{text.substr(0, max_id_length)};
  std::replace_if(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

} // namespace

outcome<void> check_id(std::string_view field, std::string_view text) {
  if (text.empty())
    return fail(errc::invalid_argument, "{}: must not be empty", field);
  if (text.size() > max_id_length)
    return fail(errc::invalid_argument, "{}: {} characters, at most {} are allowed", field,
                text.size(), max_id_length);
  if (!alphanumeric(text.front()))
    return fail(errc::invalid_argument, "{}: '{}' must start with a letter or digit", field,
                shown(text));
  if (!std::all_of(text.begin(), text.end(), inner))
    return fail(errc::invalid_argument, "{}: '{}' may hold only letters, digits, '.', '_' and '-'",
                field, shown(text));
  return {};
}

} // namespace troupe
