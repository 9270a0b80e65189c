// Bytes a guest writes to its log port: always bounded lines, never a control character.
#include "actors/agent/log_forwarder.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace troupe::agent;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(data, data + size);
  line_cutter cutter;
  std::string_view left{bytes};
  while (const auto line = cutter.next(left)) {
    const auto parsed = parse_log_line(*line);
    const bool clean = std::ranges::none_of(
        parsed.text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
    if (line->size() > longest_log_line || !clean)
      std::abort();
  }
  return 0;
}
