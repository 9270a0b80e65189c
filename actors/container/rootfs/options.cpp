#include "actors/container/rootfs/options.hpp"

#include "messages/vocabulary/mount_attribute.hpp"

#include <sys/mount.h>

#include <algorithm>
#include <string_view>

namespace troupe::rootfs {

namespace {

/// A mount that is attached nowhere propagates nothing.
constexpr std::string_view without_meaning[] = {
    "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable", ""};

constexpr std::string_view disk_types[] = {"ext2",  "ext3",  "ext4",    "xfs",
                                           "btrfs", "erofs", "squashfs"};

template <class List>
bool contains(const List& list, std::string_view word) {
  return std::ranges::find(list, word) != std::end(list);
}

outcome<mount_kind> kind_of(const std::string& field, const rootfs_mount& mount) {
  if (mount.type == "overlay")
    return mount_kind::overlay;
  if (mount.type == "bind" || contains(mount.options, "bind") || contains(mount.options, "rbind"))
    return mount_kind::bind;
  if (mount.type == "tmpfs")
    return mount_kind::memory;
  if (contains(disk_types, mount.type))
    return mount_kind::disk;
  return fail(errc::unimplemented, "{}: type \"{}\" cannot be mounted", field, mount.type);
}

/// overlayfs's list: ':' between layers, '\' before a ':' or '\' of a name.
outcome<void> split_layers(const std::string& field, std::string_view text,
                           std::vector<std::string>& into) {
  std::string layer;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != ':') {
      if (text[i] == '\\' && i + 1 < text.size())
        ++i;
      layer += text[i];
      continue;
    }
    if (!layer.starts_with('/'))
      return fail(errc::invalid_argument, "{}: lowerdir: \"{}\" must be an absolute path", field,
                  layer);
    into.push_back(std::exchange(layer, {}));
  }
  if (into.size() > max_layers)
    return fail(errc::invalid_argument, "{}: lowerdir: more than {} layers", field, max_layers);
  return {};
}

/// `upperdir=` and `workdir=`.
outcome<void> take_folder(const std::string& field, std::string_view name, std::string_view value,
                          std::string& into) {
  if (!value.starts_with('/'))
    return fail(errc::invalid_argument, "{}: {}: \"{}\" must be an absolute path", field, name,
                value);
  into = value;
  return {};
}

/// "rw" does not make a read-only source writable, as a bind mount inherits what protects it.
bool take_attribute(std::string_view option, mount_options& into) {
  const auto* const found = find_mount_attribute(option);
  if (found == nullptr)
    return false;
  into.set = (into.set & ~found->clear) | found->set;
  into.clear |= found->clear & MOUNT_ATTR__ATIME;
  into.read_only = (into.set & MOUNT_ATTR_RDONLY) != 0;
  return true;
}

outcome<void> take(const std::string& field, std::string_view option, mount_options& into) {
  if (contains(without_meaning, option) || take_attribute(option, into))
    return {};
  if (option == "bind" || option == "rbind") {
    into.recursive = into.recursive || option == "rbind";
    return {};
  }
  if (option == "loop") {
    into.loop = true;
    return {};
  }
  const auto equals = option.find('=');
  const auto name = option.substr(0, equals);
  const auto value =
      equals == std::string_view::npos ? std::string_view{} : option.substr(equals + 1);
  if (into.kind == mount_kind::overlay) {
    if (name == "lowerdir")
      return split_layers(field, value, into.lower);
    if (name == "upperdir")
      return take_folder(field, name, value, into.upper);
    if (name == "workdir")
      return take_folder(field, name, value, into.work);
  }
  if (into.kind == mount_kind::bind)
    return fail(errc::invalid_argument, "{}: a bind mount has no option \"{}\"", field, option);
  into.data.emplace_back(name, value);
  return {};
}

outcome<void> check(const std::string& field, const rootfs_mount& mount,
                    const mount_options& options) {
  if (options.kind == mount_kind::overlay) {
    if (options.lower.empty())
      return fail(errc::invalid_argument, "{}: lowerdir is missing", field);
    if (options.upper.empty() != options.work.empty())
      return fail(errc::invalid_argument, "{}: upperdir and workdir need each other", field);
  }
  if ((options.kind == mount_kind::bind || options.kind == mount_kind::disk) &&
      !mount.source.starts_with('/'))
    return fail(errc::invalid_argument, "{}: source \"{}\" must be an absolute path", field,
                mount.source);
  return {};
}

} // namespace

outcome<mount_options> parse_options(const std::string& field, const rootfs_mount& mount) {
  mount_options result;
  result.kind = TRY(kind_of(field, mount));
  if (mount.options.size() > max_options)
    return fail(errc::invalid_argument, "{}: more than {} options", field, max_options);
  for (const auto& option : mount.options) {
    if (option.size() > max_option_length)
      return fail(errc::invalid_argument, "{}: an option is longer than {} bytes", field,
                  max_option_length);
    TRY(take(field, option, result));
  }
  TRY(check(field, mount, result));
  return result;
}

} // namespace troupe::rootfs
