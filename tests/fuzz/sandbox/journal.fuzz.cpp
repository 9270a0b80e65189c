#include "actors/sandbox/journal/record.hpp"

#include <cstdlib>

// A journal on disk: every record that is read must come out of the writer again, byte for byte.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::journal;
  const std::string bytes(data, data + size);
  const auto found = scan(bytes);
  if (found.end > bytes.size() || (found.torn && found.end == bytes.size()))
    std::abort();
  for (const auto& [boot, what] : found.records)
    if (bytes.find(frame(boot, encode(what))) == std::string::npos)
      std::abort();
  if (const auto what = decode(bytes); what && encode(*what) != bytes)
    std::abort();
  return 0;
}
