#include "guest/agent/launch/mounting.hpp"

#include <fcntl.h>
#include <sys/mount.h>

#include <array>
#include <cerrno>

namespace troupe::guest {
namespace {

/// What the kernel wrote down about a failed step ("e tmpfs: Unknown parameter 'x'"), or nothing.
std::string kernel_words(int context) {
  std::array<char, 512> text{};
  const auto got = ::read(context, text.data(), text.size());
  if (got <= 2)
    return {};
  std::string_view words{text.data() + 2, static_cast<std::size_t>(got) - 2};
  while (!words.empty() && words.back() == '\n')
    words.remove_suffix(1);
  return fmt::format(" ({})", words);
}

failed refuse(int context, std::string_view type, std::string_view what, int error) {
  return fail_errno(fmt::format("mount {}: {}{}", type, what, kernel_words(context)), error);
}

outcome<void> configure(int context, const std::string& type, const std::string& option) {
  const auto equals = option.find('=');
  const auto key = option.substr(0, equals);
  const int r =
      equals == std::string::npos
          ? ::fsconfig(context, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
          : ::fsconfig(context, FSCONFIG_SET_STRING, key.c_str(), option.c_str() + equals + 1, 0);
  if (r != 0)
    return refuse(context, type, "option " + option, errno);
  return {};
}

} // namespace

outcome<unique_fd> new_mount(const std::string& type, const std::string& source,
                             const std::vector<std::string>& data, std::uint64_t attributes) {
  const unique_fd context{::fsopen(type.c_str(), FSOPEN_CLOEXEC)};
  if (!context)
    return fail_errno("mount: file system " + type, errno);
  if (!source.empty())
    TRY(configure(context.get(), type, "source=" + source));
  for (const auto& option : data)
    TRY(configure(context.get(), type, option));
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return refuse(context.get(), type, "create", errno);
  unique_fd mount{::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes))};
  if (!mount)
    return refuse(context.get(), type, "fsmount", errno);
  return mount;
}

outcome<unique_fd> clone_mount(int dir, const std::string& from, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (from.empty())
    flags |= AT_EMPTY_PATH;
  if (recursive)
    flags |= AT_RECURSIVE;
  unique_fd mount{::open_tree(dir, from.c_str(), flags)};
  if (!mount)
    return fail_errno(fmt::format("mount: clone '{}'", from), errno);
  return mount;
}

outcome<void> set_attributes(int mount, std::uint64_t set, std::uint64_t clear, bool all) {
  if (set == 0 && clear == 0)
    return {};
  mount_attr attributes{};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  const unsigned flags = AT_EMPTY_PATH | (all ? AT_RECURSIVE : 0u);
  if (::mount_setattr(mount, "", flags, &attributes, sizeof attributes) != 0)
    return fail_errno("mount: set attributes", errno);
  return {};
}

outcome<void> attach_mount(int mount, int target) {
  if (::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    return fail_errno("mount: attach", errno);
  return {};
}

outcome<void> apply_options(int mount, const mount_options& options) {
  TRY(set_attributes(mount, options.set_all, options.clear_all, true));
  return set_attributes(mount, options.set, options.clear, false);
}

outcome<void> set_propagation(int mount, unsigned long flags) {
  mount_attr attributes{};
  attributes.propagation = flags & ~static_cast<unsigned long>(MS_REC);
  const unsigned how = AT_EMPTY_PATH | ((flags & MS_REC) != 0 ? AT_RECURSIVE : 0u);
  if (::mount_setattr(mount, "", how, &attributes, sizeof attributes) != 0)
    return fail_errno("mount: set propagation", errno);
  return {};
}

} // namespace troupe::guest
