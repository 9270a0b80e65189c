// troupectl: the command line's words to one order, the order to its function.

#include "tools/ctl/commands.hpp"

#include <cstdio>
#include <span>

int main(int argc, char** argv) {
  using namespace troupe::ctl;
  const std::span<const char* const> words{argv + 1, static_cast<std::size_t>(argc - 1)};
  const auto parsed = parse_words(words);
  if (!parsed.what) {
    const bool help = parsed.status == 0;
    std::fprintf(help ? stdout : stderr, "%s%s", help ? "" : "troupectl: ", parsed.text.c_str());
    return parsed.status;
  }
  return std::visit([](const auto& options) { return carry_out(options); }, *parsed.what);
}
