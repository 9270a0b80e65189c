#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace troupe::testing {

/// Ends the process as skipped, aloud, unless what it cannot do without is there. 77 is what ctest
/// takes for that.
inline void need(bool there, std::string_view what) {
  if (there)
    return;
  std::printf("SKIPPED: needs %.*s\n", static_cast<int>(what.size()), what.data());
  std::fflush(stdout);
  std::_Exit(77);
}

} // namespace troupe::testing
