#include "tests/e2e/fs/tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

namespace troupe::testing {
namespace {

namespace fs = std::filesystem;

void check(bool good, const std::string& what) {
  if (!good)
    throw std::system_error{errno, std::generic_category(), what};
}

/// A generator of plain bytes; the same seed gives the same file (xorshift64*).
class byte_source {
public:
  explicit byte_source(std::uint64_t seed) : state_(seed * 2 + 1) {}
  char next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<char>((state_ * 0x2545f4914f6cdd1d) >> 56);
  }

private:
  std::uint64_t state_;
};

std::string content_of(int number) {
  constexpr std::array<std::size_t, 8> sizes{0, 1, 100, 4095, 4096, 4097, 70'000, 1'500'000};
  byte_source source{static_cast<std::uint64_t>(number)};
  std::string text(sizes.at(static_cast<std::size_t>(number) % sizes.size()), '\0');
  for (auto& one : text)
    one = source.next();
  return text;
}

void make_file(const std::string& path, int number) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  check(fd >= 0, "create " + path);
  const auto text = content_of(number);
  check(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()),
        "write " + path);
  if (number % 5 == 0) // a hole, then a last byte
    check(::pwrite(fd, "!", 1, 3'000'000) == 1, "write " + path);
  if (number % 3 == 0)
    check(::fsetxattr(fd, "user.number", &number, sizeof number, 0) == 0, "setxattr " + path);
  ::close(fd);
  check(::chown(path.c_str(), static_cast<uid_t>(number), 7) == 0, "chown " + path);
  check(::chmod(path.c_str(), 0400U | (static_cast<mode_t>(number) & 07377U)) == 0,
        "chmod " + path);
}

void set_time(const std::string& path, int number) {
  const std::array<timespec, 2> times{timespec{1'500'000'000 + number, 123'456'789},
                                      timespec{1'400'000'000 + number, 987'654'321 - number}};
  check(::utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) == 0,
        "utimensat " + path);
}

/// FNV-1a.
class hasher {
public:
  void add(std::string_view text) {
    for (const char one : text)
      hash_ = (hash_ ^ static_cast<unsigned char>(one)) * 0x100000001b3;
    hash_ = (hash_ ^ 0xff) * 0x100000001b3; // the end of a field is part of it
  }
  template <class Number>
  void number(Number value) {
    add(std::to_string(value));
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

void add_content(const std::string& path, hasher& into) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(fd >= 0, "open " + path);
  std::vector<char> buffer(1 << 20);
  for (;;) {
    const auto got = ::read(fd, buffer.data(), buffer.size());
    check(got >= 0, "read " + path);
    if (got == 0)
      break;
    into.add({buffer.data(), static_cast<std::size_t>(got)});
  }
  ::close(fd);
}

void add_entry(const fs::path& path, const std::string& name, hasher& into) {
  struct stat status {};
  check(::lstat(path.c_str(), &status) == 0, "lstat " + path.string());
  into.add(name);
  into.number(status.st_mode);
  into.number(status.st_uid);
  into.number(status.st_gid);
  into.number(status.st_mtim.tv_sec);
  into.number(status.st_mtim.tv_nsec);
  if (S_ISLNK(status.st_mode))
    into.add(fs::read_symlink(path).string());
  if (!S_ISREG(status.st_mode))
    return;
  into.number(status.st_nlink);
  into.number(status.st_size);
  int number = 0;
  if (::getxattr(path.c_str(), "user.number", &number, sizeof number) > 0)
    into.number(number);
  add_content(path, into);
}

} // namespace

void make_tree(const std::string& folder) {
  fs::create_directory(folder);
  for (int d = 0; d < 5; ++d) {
    const auto inner = folder + "/dir" + std::to_string(d);
    fs::create_directory(inner);
    for (int f = 0; f < 12; ++f) {
      const auto path = inner + "/file " + std::to_string(f);
      make_file(path, d * 12 + f);
      set_time(path, d * 12 + f);
    }
    fs::create_symlink("file 3", inner + "/link");
    set_time(inner + "/link", d);
    fs::create_hard_link(inner + "/file 1", inner + "/hard");
    fs::create_directory(inner + "/empty");
    set_time(inner + "/empty", d);
    set_time(inner, d);
  }
}

tree_digest digest_tree(const std::string& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator{folder})
    paths.push_back(entry.path());
  std::ranges::sort(paths);
  hasher sum;
  for (const auto& path : paths)
    add_entry(path, path.lexically_relative(folder).string(), sum);
  return {sum.value(), paths.size()};
}

} // namespace troupe::testing
