#include "messages/vocabulary/outcome.hpp"

#include <system_error>

namespace troupe {

std::string failure::to_string() const { return fmt::format("{}: {}", name(code), text); }

failed fail_errno(std::string_view what, int os_error) {
  auto text = fmt::format("{}: {}", what, std::generic_category().message(os_error));
  return failed{failure{errc::host_io, std::move(text), os_error}};
}

failed within(std::string_view stage, failure why) {
  why.text = fmt::format("{}: {}", stage, why.text);
  return failed{std::move(why)};
}

} // namespace troupe
