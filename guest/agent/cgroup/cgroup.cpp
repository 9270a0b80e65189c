#include "guest/agent/cgroup/cgroup.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <memory>

namespace troupe::guest {
namespace {

/// Deepest nesting of cgroups that removal follows: a container may nest its own.
constexpr int max_depth = 32;
/// A parent may vanish under a create, with the last other container of the pod; not for ever.
constexpr int max_retries = 3;
constexpr std::size_t max_file = 65536;

constexpr std::array<std::string_view, 6> controllers{"cpuset", "cpu",  "io",
                                                      "memory", "pids", "hugetlb"};

outcome<void> write_at(int dir, const char* file, std::string_view value) {
  const unique_fd fd{::openat(dir, file, O_WRONLY | O_CLOEXEC)};
  if (!fd || ::write(fd.get(), value.data(), value.size()) < 0)
    return fail_errno(fmt::format("cgroup: write '{}' to {}", value, file), errno);
  return {};
}

/// One word at a time: a controller this kernel lacks must not take the others with it. Whether one
/// is missed shows when a limit is written.
void delegate_controllers(int dir) {
  for (const auto name : controllers)
    (void)write_at(dir, "cgroup.subtree_control", fmt::format("+{}", name));
}

outcome<unique_fd> open_dir(int at, const std::string& path) {
  unique_fd fd{::openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)};
  if (!fd)
    return fail_errno("cgroup: open " + path, errno);
  return fd;
}

/// Makes every directory on the way and hands the controllers down.
outcome<unique_fd> make_path(const cgroup_settings& settings, std::string_view path) {
  auto dir = TRY(open_dir(AT_FDCWD, settings.root));
  for (std::size_t start = 0; start < path.size();) {
    const auto end = std::min(path.find('/', start), path.size());
    const std::string part{path.substr(start, end - start)};
    delegate_controllers(dir.get());
    if (::mkdirat(dir.get(), part.c_str(), 0755) != 0 && errno != EEXIST)
      return fail_errno("cgroup: mkdir " + part, errno);
    dir = TRY(open_dir(dir.get(), part));
    start = end + 1;
  }
  return dir;
}

struct close_dir {
  void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

void remove_tree(int parent, const char* name, int depth) {
  if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || depth == 0)
    return;
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return;
  const std::unique_ptr<DIR, close_dir> dir{::fdopendir(fd)};
  while (const auto* entry = dir ? ::readdir(dir.get()) : nullptr)
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
      remove_tree(fd, entry->d_name, depth - 1);
  ::unlinkat(parent, name, AT_REMOVEDIR);
}

} // namespace

std::optional<std::uint64_t> keyed_value(std::string_view text, std::string_view key) noexcept {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.size() <= key.size() || !line.starts_with(key) || line[key.size()] != ' ')
      continue;
    std::uint64_t value = 0;
    const auto digits = line.substr(key.size() + 1);
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc{} && stop == digits.data() + digits.size())
      return value;
  }
  return std::nullopt;
}

outcome<cgroup> cgroup::create(const cgroup_settings& settings, std::string_view path) {
  cgroup made;
  made.settings_ = settings;
  made.path_ = path;
  auto dir = make_path(settings, path);
  for (int again = 0; !dir && dir.error().os_error == ENOENT && again < max_retries; ++again)
    dir = make_path(settings, path);
  made.dir_ = TRY(std::move(dir));
  return made;
}

outcome<void> cgroup::write(const char* file, std::string_view value) const {
  return write_at(dir_.get(), file, value);
}

outcome<void> cgroup::apply(std::span<const cgroup_write> writes) const {
  for (const auto& one : writes) {
    const auto done = write(one.file.c_str(), one.value);
    if (done)
      continue;
    const bool missing = done.error().os_error == ENOENT || done.error().os_error == EACCES;
    if (missing && (settings_.lenient || one.file.starts_with("hugetlb.")))
      continue;
    auto why = done.error();
    if (why.os_error == EINVAL || why.os_error == ERANGE)
      why.code = errc::invalid_argument;
    return within(one.field, std::move(why));
  }
  return {};
}

outcome<unique_fd> cgroup::open_procs(bool nested) const {
  const char* file = nested ? "init/cgroup.procs" : "cgroup.procs";
  unique_fd fd{::openat(dir_.get(), file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!fd)
    return fail_errno(fmt::format("cgroup: open {}", file), errno);
  return fd;
}

outcome<void> cgroup::kill() const {
  return write("cgroup.kill", "1");
}

std::string cgroup::read(const char* file) const {
  const unique_fd fd{::openat(dir_.get(), file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  std::string text;
  if (!fd)
    return text;
  text.resize(max_file);
  std::size_t used = 0;
  for (ssize_t got = 1; got > 0 && used < text.size(); used += static_cast<std::size_t>(got)) {
    got = ::read(fd.get(), text.data() + used, text.size() - used);
    if (got <= 0)
      break;
  }
  text.resize(used);
  return text;
}

outcome<void> cgroup::wait_event(std::string_view line, milliseconds deadline,
                                 std::string_view stage) const {
  const unique_fd events{::openat(dir_.get(), "cgroup.events", O_RDONLY | O_CLOEXEC)};
  if (!events)
    return fail_errno(fmt::format("cgroup: {}: open cgroup.events", stage), errno);
  const auto end = monotonic_clock::now() + deadline;
  for (;;) {
    std::array<char, 256> text{};
    const auto got = ::pread(events.get(), text.data(), text.size(), 0);
    if (got > 0 && std::string_view{text.data(), static_cast<std::size_t>(got)}.find(line) !=
                       std::string_view::npos)
      return {};
    const auto left = std::chrono::ceil<milliseconds>(end - monotonic_clock::now()).count();
    if (left <= 0)
      return fail(errc::deadline_exceeded, "cgroup: {}: no '{}' within {} ms", stage, line,
                  deadline.count());
    pollfd wait{events.get(), POLLPRI, 0};
    (void)::poll(&wait, 1, static_cast<int>(left));
  }
}

outcome<void> cgroup::freeze(bool frozen, milliseconds deadline) const {
  TRY(write("cgroup.freeze", frozen ? "1" : "0"));
  return wait_event(frozen ? "frozen 1" : "frozen 0", deadline, frozen ? "freeze" : "thaw");
}

outcome<void> cgroup::remove(milliseconds deadline) {
  if (!dir_)
    return {};
  const auto empty = wait_event("populated 0", deadline, "remove");
  if (!empty && empty.error().code == errc::deadline_exceeded)
    return empty;
  dir_.reset();
  const auto root = TRY(open_dir(AT_FDCWD, settings_.root));
  remove_tree(root.get(), path_.c_str(), max_depth);
  if (::faccessat(root.get(), path_.c_str(), F_OK, 0) == 0)
    return fail(errc::host_io, "cgroup: {} is empty and cannot be removed", path_);
  for (auto parent = path_; parent.find('/') != std::string::npos;) {
    parent.resize(parent.rfind('/'));
    if (::unlinkat(root.get(), parent.c_str(), AT_REMOVEDIR) != 0)
      break; // another container of the pod still uses it
  }
  return {};
}

} // namespace troupe::guest
