#include "config/load.hpp"

#include <cstddef>
#include <cstdint>

/// A configuration file of arbitrary bytes: a report, never a crash; each note names the file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  const auto result = troupe::config::parse({{"f", text}});
  for (const auto& note : result.errors)
    if (!note.starts_with("f:"))
      __builtin_trap();
  return 0;
}
