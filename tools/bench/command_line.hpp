#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace troupe::bench {

/// What was asked for.
struct request {
  bool list = false;
  std::string name; ///< of a bench that exists, unless `list`
  std::uint32_t n = 0;
};

/// A request, or what to print instead and the exit status: 0 for help, 2 for a wrong line.
struct parsed {
  std::optional<request> what;
  std::string text;
  int status = 0;
};

/// @param words without the program's name.
[[nodiscard]] parsed parse_words(std::span<const char* const> words);

} // namespace troupe::bench
