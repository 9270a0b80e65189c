#include "guest/agent/spec/mount_options.hpp"

#include "messages/vocabulary/mount_attribute.hpp"

#include <sys/mount.h>

#include <array>

namespace troupe::guest {
namespace {

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

/// The last word about a flag wins.
void apply(const mount_attribute& what, std::uint64_t& set, std::uint64_t& clear) noexcept {
  set = (set & ~what.clear) | what.set;
  clear = (clear & ~what.set) | what.clear;
}

bool take_attribute(std::string_view word, mount_options& out) noexcept {
  if (const auto* plain = find_mount_attribute(word)) {
    apply(*plain, out.set, out.clear);
    return true;
  }
  if (!word.starts_with('r'))
    return false;
  const auto* recursive = find_mount_attribute(word.substr(1));
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
