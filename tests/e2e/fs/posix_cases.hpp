#pragma once

#include <span>

namespace troupe::testing {

/// One thing that POSIX or Linux promise of files; throws what was not so.
struct posix_case {
  const char* name;
  void (*run)();
};

[[nodiscard]] std::span<const posix_case> posix_cases();

} // namespace troupe::testing
