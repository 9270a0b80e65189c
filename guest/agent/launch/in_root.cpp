#include "guest/agent/launch/in_root.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <string>

namespace troupe::guest {
namespace {

std::string relative(std::string_view path) {
  const auto start = path.find_first_not_of('/');
  return start == std::string_view::npos ? "." : std::string{path.substr(start)};
}

} // namespace

outcome<unique_fd> open_in_root(int root, std::string_view path, int flags, links policy) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  if (policy == links::refuse)
    how.resolve |= RESOLVE_NO_SYMLINKS;
  const auto name = relative(path);
  unique_fd fd{static_cast<int>(::syscall(SYS_openat2, root, name.c_str(), &how, sizeof how))};
  if (!fd)
    return fail_errno(fmt::format("open {}", path), errno);
  return fd;
}

outcome<unique_fd> make_dir_in_root(int root, std::string_view path, links policy) {
  auto there = open_in_root(root, path, O_PATH | O_DIRECTORY, policy);
  if (there || there.error().os_error != ENOENT)
    return there;
  const auto [parent, name] = split_last(path);
  if (name.empty())
    return there;
  const auto above = TRY(make_dir_in_root(root, parent, policy));
  if (::mkdirat(above.get(), std::string{name}.c_str(), 0755) != 0 && errno != EEXIST)
    return fail_errno(fmt::format("mkdir {}", path), errno);
  return open_in_root(root, path, O_PATH | O_DIRECTORY, policy);
}

outcome<unique_fd> make_file_in_root(int root, std::string_view path) {
  auto there = open_in_root(root, path, O_PATH);
  if (there || there.error().os_error != ENOENT)
    return there;
  const auto [parent, name] = split_last(path);
  const auto above = TRY(make_dir_in_root(root, parent));
  const std::string last{name};
  const unique_fd made{::openat(above.get(), last.c_str(),
                                O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644)};
  if (!made && errno != EEXIST)
    return fail_errno(fmt::format("create {}", path), errno);
  return open_in_root(root, path, O_PATH);
}

split_path split_last(std::string_view path) noexcept {
  while (!path.empty() && path.back() == '/')
    path.remove_suffix(1);
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos)
    return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

} // namespace troupe::guest
