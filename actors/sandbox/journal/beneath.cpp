#include "actors/sandbox/journal/beneath.hpp"

#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <memory>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace troupe::journal {
namespace {

constexpr std::uint64_t no_links = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

unique_fd open_below(int folder, const char* path, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_DIRECTORY | O_CLOEXEC);
  how.resolve = resolve;
  return unique_fd{static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how))};
}

outcome<std::vector<std::string>> list(int folder) {
  unique_fd copy{::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!copy)
    return fail_errno("open folder", errno);
  std::unique_ptr<DIR, int (*)(DIR*)> stream{::fdopendir(copy.get()), &::closedir};
  if (!stream)
    return fail_errno("read folder", errno);
  (void)copy.release(); // closedir(3) closes it
  std::vector<std::string> names;
  while (const auto* item = ::readdir(stream.get())) {
    const std::string_view name{item->d_name};
    if (name != "." && name != "..")
      names.emplace_back(name);
  }
  return names;
}

outcome<void> remove_one(int folder, const std::string& name, unsigned depth) {
  if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT)
    return {};
  if (errno != EISDIR && errno != EPERM)
    return fail_errno("remove " + name, errno);
  const auto child = open_below(folder, name.c_str(), O_RDONLY, no_links | RESOLVE_NO_XDEV);
  if (!child)
    return fail_errno("open " + name, errno);
  TRY(remove_contents(child.get(), {}, depth + 1));
  if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return fail_errno("remove folder " + name, errno);
  return {};
}

} // namespace

outcome<std::optional<entry>> find_beneath(const root_table& roots, const located& where,
                                           mounts policy) {
  const auto base = roots.find(where.base);
  if (base == roots.end())
    return fail(errc::failed_precondition, "journal: no root {}", name(where.base));
  const unique_fd top{::open(base->second.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!top && errno == ENOENT)
    return std::nullopt;
  if (!top)
    return fail_errno("open " + base->second, errno);
  const auto slash = where.path.rfind('/');
  const auto parent = slash == std::string::npos ? "." : where.path.substr(0, slash);
  const auto resolve = no_links | (policy == mounts::refuse ? RESOLVE_NO_XDEV : 0);
  entry found{open_below(top.get(), parent.c_str(), O_PATH, resolve), {}};
  if (!found.folder && errno == ENOENT)
    return std::nullopt;
  if (!found.folder && (errno == ELOOP || errno == EXDEV || errno == ENOTDIR))
    return fail(errc::permission_denied, "{}/{}: a {} stands on the way", base->second, where.path,
                errno == EXDEV ? "mount point" : "symlink or file");
  if (!found.folder)
    return fail_errno(fmt::format("open {}/{}", base->second, parent), errno);
  found.name = slash == std::string::npos ? where.path : where.path.substr(slash + 1);
  return found;
}

outcome<void> remove_contents(int folder, std::string_view keep, unsigned depth) {
  if (depth > max_tree_depth)
    return fail(errc::resource_exhausted, "folders nested deeper than {}", max_tree_depth);
  outcome<void> result;
  for (const auto& name : TRY(list(folder))) {
    if (depth == 0 && name == keep)
      continue;
    if (auto removed = remove_one(folder, name, depth); !removed && result)
      result = removed;
  }
  return result;
}

} // namespace troupe::journal
