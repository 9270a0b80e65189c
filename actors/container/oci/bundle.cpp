#include "actors/container/oci/bundle.hpp"

#include "actors/container/oci/json.hpp"
#include "messages/vocabulary/read_bounded.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

namespace troupe::oci {

namespace {

/// Opens `path` as a directory that is reached from `folder` without leaving it and without
/// symlinks.
outcome<unique_fd> open_beneath(int folder, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const auto fd = ::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
  if (fd < 0)
    return fail_errno("open", errno);
  return unique_fd(static_cast<int>(fd));
}

failed bad_root(const std::string& path, int os_error) {
  const auto why = [os_error]() -> std::string_view {
    switch (os_error) {
    case ENOENT:
      return "does not exist";
    case ENOTDIR:
      return "is no directory";
    case ELOOP:
      return "is or passes a symlink";
    case EXDEV:
      return "leads out of the bundle";
    default:
      return "cannot be opened";
    }
  }();
  auto result = fail(errc::invalid_argument, "root.path: \"{}\" {}", path, why);
  result.value().os_error = os_error;
  return result;
}

/// root.path relative to the bundle; empty when it is an absolute path elsewhere.
std::string inner_path(const bundle& from) {
  const auto& path = from.spec.root().path();
  if (!path.starts_with('/'))
    return path;
  if (path.starts_with(from.path + "/"))
    return path.substr(from.path.size() + 1);
  return {};
}

outcome<std::string> read_config(int folder) {
  const unique_fd file(
      ::openat(folder, "config.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file)
    return fail(errc::invalid_argument, "bundle: config.json: {}",
                fail_errno("open", errno).value().text);
  struct stat about {};
  if (::fstat(file.get(), &about) != 0)
    return fail_errno("bundle: config.json", errno);
  if (!S_ISREG(about.st_mode))
    return fail(errc::invalid_argument, "bundle: config.json: is no regular file");
  return read_bounded(file.get(), max_json_size, "bundle: config.json");
}

} // namespace

outcome<bundle> open_bundle(const std::string& path) {
  if (!path.starts_with('/'))
    return fail(errc::invalid_argument, "bundle: \"{}\" must be an absolute path", path);
  bundle result;
  result.path = path;
  while (result.path.size() > 1 && result.path.ends_with('/'))
    result.path.pop_back();
  result.folder.reset(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!result.folder)
    return fail(errc::invalid_argument, "bundle: {}", fail_errno(path, errno).value().text);
  result.spec = TRY(parse_spec(TRY(read_config(result.folder.get()))));
  if (result.spec.root().path().empty())
    return fail(errc::invalid_argument, "root.path: must not be empty");
  // Whether it is there matters only to who uses it; where it leads matters always.
  if (const auto inner = inner_path(result); !inner.empty())
    if (const auto root = open_beneath(result.folder.get(), inner);
        !root && root.error().os_error != ENOENT)
      return bad_root(result.spec.root().path(), root.error().os_error);
  return result;
}

outcome<unique_fd> open_root(const bundle& from) {
  const auto& path = from.spec.root().path();
  if (const auto inner = inner_path(from); !inner.empty()) {
    auto root = open_beneath(from.folder.get(), inner);
    return root ? std::move(root) : bad_root(path, root.error().os_error);
  }
  auto plain = path;
  while (plain.size() > 1 && plain.ends_with('/'))
    plain.pop_back(); // a trailing slash would follow a symlink
  unique_fd root(::open(plain.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root) {
    const auto os_error = errno;
    struct stat about {};
    const bool link = ::lstat(plain.c_str(), &about) == 0 && S_ISLNK(about.st_mode);
    return bad_root(path, link ? ELOOP : os_error);
  }
  return root;
}

} // namespace troupe::oci
