#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <regex.h>

#include <memory>
#include <string>

namespace troupe::config {

/// Longest pattern. The library's compiler works recursively.
inline constexpr std::size_t max_pattern_length = 128;

/// A POSIX extended regular expression for whole words. Braces are refused: a few nested repetition
/// counts make the library take memory without end. Move-only; match() from any thread.
class pattern {
public:
  /// @returns invalid_argument that names the text.
  [[nodiscard]] static outcome<pattern> compile(const std::string& text);

  /// Whether the whole of `word` fits.
  [[nodiscard]] bool matches(const std::string& word) const noexcept;

private:
  struct release {
    void operator()(regex_t* compiled) const noexcept;
  };
  explicit pattern(std::unique_ptr<regex_t, release> compiled) : compiled_(std::move(compiled)) {}

  std::unique_ptr<regex_t, release> compiled_;
};

} // namespace troupe::config
