#include "actors/sharefs/share_root.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace troupe::sharefs {
namespace {

outcome<std::vector<std::string_view>> split(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    const auto part = path.substr(at, end - at);
    if (!is_component(part))
      return fail(errc::invalid_argument, "share path \"{}\": bad component \"{}\"", path, part);
    parts.push_back(part);
    at = end + 1;
  }
  if (parts.size() > max_share_depth)
    return fail(errc::invalid_argument, "share path \"{}\": deeper than {}", path, max_share_depth);
  return parts;
}

} // namespace

bool is_component(std::string_view name) noexcept {
  return !name.empty() && name.size() <= max_name_length && name != "." && name != ".." &&
         name.find('/') == name.npos && name.find('\0') == name.npos;
}

share::~share() {
  root_.reset();
  gone_.set_value();
}

/// Finds or makes the directories that `parts` names, all but the last one.
outcome<std::uint64_t> share_root::descend(const std::vector<std::string_view>& parts) {
  auto at = top;
  for (auto part = parts.begin(); part + 1 != parts.end(); ++part) {
    auto& here = directories_.at(at);
    auto found = here.find(*part);
    if (found == here.end()) {
      found = here.emplace(*part, entry{++last_directory_, nullptr}).first;
      directories_.try_emplace(last_directory_);
    } else if (found->second.tree) {
      return fail(errc::already_exists, "share path: \"{}\" is a share itself", *part);
    }
    at = found->second.directory;
  }
  return at;
}

outcome<void> share_root::add(std::string_view path, share_ptr tree) {
  const auto parts = TRY(split(path));
  const std::scoped_lock guard{guard_};
  if (shares_ == max_shares)
    return fail(errc::resource_exhausted, "share \"{}\": {} shares already", path, shares_);
  auto& here = directories_.at(TRY(descend(parts)));
  if (!here.emplace(parts.back(), entry{0, std::move(tree)}).second)
    return fail(errc::already_exists, "share \"{}\" exists", path);
  ++shares_;
  return {};
}

/// Drops directories from the inmost one up to the first that still holds something.
void share_root::prune(const std::vector<std::pair<std::uint64_t, std::string>>& way) {
  for (auto step = way.rbegin(); step != way.rend(); ++step) {
    auto& parent = directories_.at(step->first);
    const auto child = parent.find(step->second);
    if (!directories_.at(child->second.directory).empty())
      return;
    directories_.erase(child->second.directory);
    parent.erase(child);
  }
}

outcome<share_ptr> share_root::take(std::string_view path) {
  const auto parts = TRY(split(path));
  const std::scoped_lock guard{guard_};
  std::vector<std::pair<std::uint64_t, std::string>> way;
  auto at = top;
  for (const auto part : parts) {
    auto& here = directories_.at(at);
    const auto found = here.find(part);
    const bool last = way.size() + 1 == parts.size();
    if (found == here.end() || last != static_cast<bool>(found->second.tree))
      break;
    if (last) {
      auto tree = std::move(found->second.tree);
      here.erase(found);
      --shares_;
      prune(way);
      return tree;
    }
    way.emplace_back(at, part);
    at = found->second.directory;
  }
  return fail(errc::not_found, "share \"{}\"", path);
}

bool share_root::has(std::uint64_t directory) const {
  const std::scoped_lock guard{guard_};
  return directories_.contains(directory);
}

std::optional<share_root::entry> share_root::find(std::uint64_t directory,
                                                  std::string_view name) const {
  const std::scoped_lock guard{guard_};
  const auto here = directories_.find(directory);
  if (here == directories_.end())
    return std::nullopt;
  const auto found = here->second.find(name);
  if (found == here->second.end())
    return std::nullopt;
  return found->second;
}

std::optional<std::vector<share_root::named_entry>>
share_root::list(std::uint64_t directory) const {
  const std::scoped_lock guard{guard_};
  const auto here = directories_.find(directory);
  if (here == directories_.end())
    return std::nullopt;
  std::vector<named_entry> found;
  found.reserve(here->second.size());
  for (const auto& [name, what] : here->second)
    found.push_back({name, what});
  return found;
}

outcome<unique_fd> clone_mount(int beneath, const std::string& path, bool recursive,
                               const share_policy& policy) {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_MAGICLINKS;
  if (beneath >= 0)
    how.resolve |= RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const unique_fd origin{static_cast<int>(::syscall(
      SYS_openat2, beneath >= 0 ? beneath : AT_FDCWD, path.c_str(), &how, sizeof how))};
  if (!origin)
    return failed{fail_errno("open share " + path, errno)};
  const unsigned depth = recursive ? AT_RECURSIVE : 0U;
  unique_fd copy{
      ::open_tree(origin.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | depth)};
  if (!copy)
    return failed{fail_errno("open_tree of share " + path, errno)};
  if (policy.read_only) {
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (::mount_setattr(copy.get(), "", AT_EMPTY_PATH | depth, &attributes, sizeof attributes) != 0)
      return failed{fail_errno("make share read-only " + path, errno)};
  }
  return copy;
}

} // namespace troupe::sharefs
