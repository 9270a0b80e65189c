#include "guest/agent/spec/mount_options.hpp"

#include <sys/mount.h>

#include <algorithm>
#include <array>

namespace troupe::guest {
namespace {

struct attribute {
  std::string_view word;
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
};

/// MOUNT_ATTR_RELATIME is 0: choosing an access time rule means clearing the whole field first.
constexpr std::array<attribute, 16> attributes{{
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    {"defaults", 0, 0},
}};

constexpr std::array<std::pair<std::string_view, unsigned long>, 8> propagations{{
    {"private", MS_PRIVATE},
    {"rprivate", MS_PRIVATE | MS_REC},
    {"slave", MS_SLAVE},
    {"rslave", MS_SLAVE | MS_REC},
    {"shared", MS_SHARED},
    {"rshared", MS_SHARED | MS_REC},
    {"unbindable", MS_UNBINDABLE},
    {"runbindable", MS_UNBINDABLE | MS_REC},
}};

const attribute* find_attribute(std::string_view word) noexcept {
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [word](const attribute& a) { return a.word == word; });
  return found == attributes.end() ? nullptr : &*found;
}

/// The last word about a flag wins.
void apply(const attribute& what, std::uint64_t& set, std::uint64_t& clear) noexcept {
  set = (set & ~what.clear) | what.set;
  clear = (clear & ~what.set) | what.clear;
}

bool take_attribute(std::string_view word, mount_options& out) noexcept {
  if (const auto* plain = find_attribute(word)) {
    apply(*plain, out.set, out.clear);
    return true;
  }
  if (!word.starts_with('r'))
    return false;
  const auto* recursive = find_attribute(word.substr(1));
  if (recursive == nullptr)
    return false;
  apply(*recursive, out.set_all, out.clear_all);
  return true;
}

bool take_bind(std::string_view word, mount_options& out) noexcept {
  if (word != "bind" && word != "rbind")
    return false;
  out.bind = true;
  out.bind_all = out.bind_all || word == "rbind";
  return true;
}

} // namespace

unsigned long parse_propagation(std::string_view word) noexcept {
  for (const auto& [name, flags] : propagations)
    if (name == word)
      return flags;
  return 0;
}

outcome<mount_options> parse_mount_options(const std::vector<std::string>& options) {
  if (options.size() > max_mount_options)
    return fail(errc::invalid_argument, "options: {}, at most {} are allowed", options.size(),
                max_mount_options);
  mount_options out;
  for (const auto& word : options) {
    if (word.size() > max_mount_option_length)
      return fail(errc::invalid_argument, "options: one has {} bytes, at most {} are allowed",
                  word.size(), max_mount_option_length);
    if (word == "loop" || word == "remount")
      return fail(errc::invalid_argument, "options: '{}' is not possible here", word);
    if (const auto propagation = parse_propagation(word))
      out.propagation = propagation;
    else if (!take_bind(word, out) && !take_attribute(word, out) && !word.empty())
      out.data.push_back(word);
  }
  return out;
}

} // namespace troupe::guest
