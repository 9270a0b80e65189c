#pragma once

// What all parts of the guest's suite use: where the shares are, and calls that must succeed.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace troupe::testing {

inline const std::string share = "/mnt/c1/rootfs/";
inline const std::string control = "/mnt/control/";
inline const std::string read_only = "/mnt/ro/";

/// Ends the case with the source's line and errno.
#define EXPECT(condition)                                                                          \
  do {                                                                                             \
    errno = 0;                                                                                     \
    if (!(condition))                                                                              \
      throw std::runtime_error{"line " + std::to_string(__LINE__) + ": " #condition ": " +         \
                               std::strerror(errno)};                                              \
  } while (false)
/// The call fails, and with exactly this errno.
#define EXPECT_ERROR(call, number)                                                                 \
  do {                                                                                             \
    EXPECT((call) == -1);                                                                          \
    if (errno != (number))                                                                         \
      throw std::runtime_error{"line " + std::to_string(__LINE__) + ": " #call ": " +              \
                               std::strerror(errno) + ", not " #number};                           \
  } while (false)

inline int open_file(const std::string& path, int flags, mode_t mode = 0644) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0)
    throw std::runtime_error{"open " + path + ": " + std::strerror(errno)};
  return fd;
}

inline void put(const std::string& path, const std::string& text) {
  const int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  EXPECT(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  EXPECT(::close(fd) == 0);
}

inline std::string get(const std::string& path) {
  const int fd = open_file(path, O_RDONLY);
  std::string text(1 << 16, '\0');
  const auto got = ::read(fd, text.data(), text.size());
  EXPECT(got >= 0);
  text.resize(static_cast<std::size_t>(got));
  ::close(fd);
  return text;
}

inline struct stat status_of(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0)
    throw std::runtime_error{"lstat " + path + ": " + std::strerror(errno)};
  return found;
}

} // namespace troupe::testing
