#include "tests/support/guest.hpp"

#include <cstdio>
#include <exception>

namespace troupe::testing {

void guest::run(seconds limit, const std::function<void(const std::string&)>& heard) {
  const auto until = monotonic_clock::now() + limit;
  while (const auto line = next_line(until))
    heard(*line);
  check_end();
}

int exit_code_of(const std::function<bool()>& suite) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0); // what was said before a hang is seen
  try {
    return suite() ? 0 : 1;
  } catch (const std::exception& broken) {
    std::printf("host: FAIL %s\n", broken.what());
    return 1;
  }
}

} // namespace troupe::testing
