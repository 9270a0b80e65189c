#pragma once

#include <cstdlib>
#include <string>

namespace troupe::testing {

/// The kernel that our guests run: $TROUPE_TEST_KERNEL, or where the build leaves it.
inline std::string product_kernel() {
  const char* const named = std::getenv("TROUPE_TEST_KERNEL");
  return named != nullptr ? named : TROUPE_BUILT_KERNEL;
}

} // namespace troupe::testing
