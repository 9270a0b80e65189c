#include "messages/vocabulary/read_bounded.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>

namespace troupe {

outcome<std::string> read_bounded(int fd, std::size_t most, std::string_view what) {
  std::string bytes;
  std::array<char, 16384> chunk{};
  while (bytes.size() <= most) {
    const auto got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail_errno(what, errno);
    if (got == 0)
      break;
    bytes.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return bytes;
}

} // namespace troupe
