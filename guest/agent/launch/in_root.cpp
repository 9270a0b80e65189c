#include "guest/agent/launch/in_root.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <climits>
#include <string>

namespace troupe::guest {
namespace {

/// Missing directories and dangling links on the way to one path: nobody nests deeper by honest
/// means.
constexpr int max_hops = 64;

std::string relative(std::string_view path) {
  const auto start = path.find_first_not_of('/');
  return start == std::string_view::npos ? "." : std::string{path.substr(start)};
}

/// Where a link at `path` leads, as a path from the root; empty when there is none.
std::string link_target(int dir, std::string_view parent, const std::string& name) {
  std::array<char, PATH_MAX> text{};
  const auto length = ::readlinkat(dir, name.c_str(), text.data(), text.size());
  if (length <= 0 || length == PATH_MAX)
    return {};
  const std::string target{text.data(), static_cast<std::size_t>(length)};
  return target.front() == '/' ? target : fmt::format("{}/{}", parent, target);
}

/// A link whose target is missing (/var/run -> /run in a bare image) gets its target made, inside
/// the root as ever.
outcome<unique_fd> make_dir(int root, const std::string& path, links policy, int hops) {
  auto there = open_in_root(root, path, O_PATH | O_DIRECTORY, policy);
  if (there || there.error().os_error != ENOENT || hops == 0)
    return there;
  const auto [parent, last] = split_last(path);
  if (last.empty())
    return there;
  const std::string name{last};
  const auto above = TRY(make_dir(root, std::string{parent}, policy, hops - 1));
  if (::mkdirat(above.get(), name.c_str(), 0755) == 0)
    return open_in_root(root, path, O_PATH | O_DIRECTORY, policy);
  if (errno != EEXIST)
    return fail_errno(fmt::format("mkdir {}", path), errno);
  if (const auto target = link_target(above.get(), parent, name); !target.empty())
    TRY(make_dir(root, target, policy, hops - 1));
  return open_in_root(root, path, O_PATH | O_DIRECTORY, policy);
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
  return make_dir(root, std::string{path}, policy, max_hops);
}

outcome<unique_fd> make_file_in_root(int root, std::string_view path, links policy) {
  auto there = open_in_root(root, path, O_PATH, policy);
  if (there || there.error().os_error != ENOENT)
    return there;
  const auto [parent, name] = split_last(path);
  const auto above = TRY(make_dir_in_root(root, parent, policy));
  const std::string last{name};
  const unique_fd made{::openat(above.get(), last.c_str(),
                                O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644)};
  if (!made && errno != EEXIST)
    return fail_errno(fmt::format("create {}", path), errno);
  return open_in_root(root, path, O_PATH, policy);
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
