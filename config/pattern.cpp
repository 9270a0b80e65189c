#include "config/pattern.hpp"

namespace troupe::config {

void pattern::release::operator()(regex_t* compiled) const noexcept {
  ::regfree(compiled);
  delete compiled;
}

outcome<pattern> pattern::compile(const std::string& text) {
  if (text.size() > max_pattern_length)
    return fail(errc::invalid_argument, "a pattern is longer than {} bytes", max_pattern_length);
  if (text.find('{') != std::string::npos)
    return fail(errc::invalid_argument, "\"{}\": a pattern must not hold braces", text);
  auto compiled = std::make_unique<regex_t>();
  if (::regcomp(compiled.get(), text.c_str(), REG_EXTENDED) != 0)
    return fail(errc::invalid_argument, "\"{}\" is no regular expression", text);
  return pattern(std::unique_ptr<regex_t, release>(compiled.release()));
}

bool pattern::matches(const std::string& word) const noexcept {
  // POSIX takes the leftmost, longest match: if the whole word fits, that is it. No "^(...)$"
  // around the text, which a text like "a)|(b" would open.
  regmatch_t found{};
  return ::regexec(compiled_.get(), word.c_str(), 1, &found, 0) == 0 && found.rm_so == 0 &&
         static_cast<std::size_t>(found.rm_eo) == word.size();
}

} // namespace troupe::config
