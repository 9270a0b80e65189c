#include "actors/container/rootfs/overlay.hpp"

#include "actors/container/rootfs/fs_context.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <thread>

namespace troupe::rootfs {

namespace {

/// What mount(2) takes besides the terminating NUL.
constexpr std::size_t max_mount_data = 4095;

/// A place to mount on that exists wherever descriptors have names. Only the helper thread's own
/// namespace sees it covered.
constexpr const char* covered = "/proc";

struct layers {
  std::vector<unique_fd> lower;
  unique_fd upper;
  unique_fd work;
};

outcome<unique_fd> open_folder(const std::string& what, const std::string& path) {
  unique_fd folder(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder)
    return mount_failure(fmt::format("{} {}", what, path), errno);
  return folder;
}

outcome<layers> open_layers(const std::string& field, const mount_options& options) {
  layers opened;
  for (std::size_t i = 0; i < options.lower.size(); ++i)
    opened.lower.push_back(
        TRY(open_folder(fmt::format("{}: lowerdir[{}]", field, i), options.lower[i])));
  if (!options.upper.empty()) {
    opened.upper = TRY(open_folder(field + ": upperdir", options.upper));
    opened.work = TRY(open_folder(field + ": workdir", options.work));
  }
  return opened;
}

std::string name_of(const unique_fd& fd) {
  return fmt::format("/proc/self/fd/{}", fd.get());
}

outcome<unique_fd> by_context(const std::string& field, const mount_options& options,
                              const layers& opened) {
  auto context = TRY(fs_context::open(field, "overlay"));
  for (const auto& layer : opened.lower)
    TRY(context.set("lowerdir+", name_of(layer)));
  if (opened.upper) {
    TRY(context.set("upperdir", name_of(opened.upper)));
    TRY(context.set("workdir", name_of(opened.work)));
  }
  for (const auto& [name, value] : options.data)
    TRY(context.set(name, value));
  return context.mount(options.set);
}

/// The option text of mount(2); layers by their number, relative to /proc/self/fd.
outcome<std::string> mount_data(const std::string& field, const mount_options& options,
                                const layers& opened) {
  std::string text = "lowerdir=";
  for (const auto& layer : opened.lower)
    text += fmt::format("{}{}", text.back() == '=' ? "" : ":", layer.get());
  if (opened.upper)
    text += fmt::format(",upperdir={},workdir={}", opened.upper.get(), opened.work.get());
  for (const auto& [name, value] : options.data) {
    if (name.find(',') != std::string::npos || value.find(',') != std::string::npos)
      return fail(errc::invalid_argument, "{}: option {} must not contain a comma", field, name);
    text += value.empty() ? fmt::format(",{}", name) : fmt::format(",{}={}", name, value);
  }
  if (text.size() > max_mount_data)
    return fail(errc::invalid_argument, "{}: {} layers do not fit into one mount on this kernel",
                field, opened.lower.size());
  return text;
}

/// Runs in a thread of its own, which dies with its namespace.
outcome<unique_fd> mount_privately(const std::string& field, const std::string& data) {
  if (::unshare(CLONE_NEWNS) != 0)
    return fail_errno(field + ": unshare mount namespace", errno);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail_errno(field + ": make mounts private", errno);
  if (::chdir("/proc/self/fd") != 0)
    return fail_errno(field + ": /proc/self/fd", errno);
  if (::mount("overlay", covered, "overlay", 0, data.c_str()) != 0)
    return mount_failure(fmt::format("{}: overlay: cannot be mounted with {}", field, data), errno);
  unique_fd root(::open_tree(AT_FDCWD, covered, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  const auto os_error = errno;
  ::umount2(covered, MNT_DETACH);
  if (!root)
    return fail_errno(field + ": overlay: open_tree", os_error);
  return root;
}

outcome<void> set_attributes(const std::string& field, int root, const mount_options& options) {
  mount_attr change{};
  change.attr_set = options.set;
  change.attr_clr = options.clear;
  if (::mount_setattr(root, "", AT_EMPTY_PATH, &change, sizeof change) != 0)
    return fail_errno(field + ": mount_setattr", errno);
  return {};
}

outcome<unique_fd> by_mount(const std::string& field, const mount_options& options,
                            const layers& opened) {
  const auto data = TRY(mount_data(field, options, opened));
  std::optional<outcome<unique_fd>> made;
  std::thread([&] { made = mount_privately(field, data); }).join();
  auto root = TRY(std::move(*made));
  TRY(set_attributes(field, root.get(), options));
  return root;
}

} // namespace

outcome<overlay_route> choose_overlay_route() {
  auto context = TRY(fs_context::open("rootfs", "overlay"));
  // 6.5 and 6.6 check options, but know no "lowerdir+".
  const bool fits = context.checks_options() && context.set("lowerdir+", "/proc").has_value();
  return fits ? overlay_route::by_context : overlay_route::by_mount;
}

outcome<unique_fd> mount_overlay(const std::string& field, const mount_options& options,
                                 overlay_route route) {
  const auto opened = TRY(open_layers(field, options));
  return route == overlay_route::by_context ? by_context(field, options, opened)
                                            : by_mount(field, options, opened);
}

} // namespace troupe::rootfs
