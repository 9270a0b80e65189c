#pragma once

#include <algorithm>
#include <string_view>

namespace troupe::guest {

/// Takes what stands before the next `separator` off `rest`, and the separator with it.
inline std::string_view cut(std::string_view& rest, char separator) noexcept {
  const auto end = std::min(rest.find(separator), rest.size());
  const auto part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

} // namespace troupe::guest
