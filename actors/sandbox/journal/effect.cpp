#include "actors/sandbox/journal/effect.hpp"

#include <algorithm>
#include <fstream>
#include <optional>

namespace troupe::journal {
namespace {

constexpr std::size_t max_interface_name = 15; // IFNAMSIZ without the NUL

template <class... Cases>
struct overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
overloaded(Cases...) -> overloaded<Cases...>;

/// The number of components, or nothing when one of them is empty, "." or "..".
std::optional<std::size_t> normal_components(std::string_view relative) {
  std::size_t count = 0;
  while (true) {
    const auto slash = relative.find('/');
    const auto part = relative.substr(0, slash);
    if (part.empty() || part == "." || part == "..")
      return std::nullopt;
    ++count;
    if (slash == std::string_view::npos)
      return count;
    relative.remove_prefix(slash + 1);
  }
}

bool plain(std::string_view path) {
  return path.size() <= max_path_length && path.find('\0') == std::string_view::npos;
}

outcome<void> check(std::string_view field, const located& where) {
  if (!plain(where.path) || !normal_components(where.path))
    return fail(errc::invalid_argument, "{}: \"{}\" is no plain path beneath {}", field, where.path,
                name(where.base));
  return {};
}

bool absolute(std::string_view path) {
  return plain(path) && path.starts_with('/') && normal_components(path.substr(1)).has_value();
}

outcome<void> check_process(const process_effect& process) {
  if (process.pid < 0)
    return fail(errc::invalid_argument, "process.pid: {} is negative", process.pid);
  const auto length = process.token.size();
  if (length < min_token_length || length > max_token_length)
    return fail(errc::invalid_argument, "process.token: {} characters, wanted {} to {}", length,
                min_token_length, max_token_length);
  if (!std::ranges::all_of(process.token, [](unsigned char c) { return c > ' ' && c < 0x7f; }))
    return fail(errc::invalid_argument, "process.token: only visible ASCII is allowed");
  return {};
}

outcome<void> check_tap(const tap_effect& tap) {
  const bool odd = tap.name.empty() || tap.name.size() > max_interface_name || tap.name == "." ||
                   tap.name == ".." || tap.name.find_first_of({"/: \t\n\0", 6}) != tap.name.npos;
  if (odd)
    return fail(errc::invalid_argument, "tap.name: \"{}\" is no interface name", tap.name);
  if (!absolute(tap.netns))
    return fail(errc::invalid_argument, "tap.netns: \"{}\" is not absolute", tap.netns);
  return {};
}

std::string show(const located& where) {
  return fmt::format("{}:{}", name(where.base), where.path);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

} // namespace

std::string_view name(root which) noexcept {
  switch (which) {
  case root::state:
    return "state";
  case root::bundle:
    return "bundle";
  case root::sockets:
    return "sockets";
  case root::netns:
    return "netns";
  case root::cgroup:
    return "cgroup";
  }
  return "unknown root";
}

std::string_view kind_name(const effect& what) noexcept {
  constexpr std::array<std::string_view, std::variant_size_v<effect>> names{
      "process", "mount", "directory", "file", "netns", "tap", "cgroup"};
  return names[what.index()];
}

std::string describe(const effect& what) {
  const auto object = std::visit(
      overloaded{[](const process_effect& e) { return fmt::format("{} {}", e.pid, e.token); },
                 [](const mount_effect& e) { return show(e.target); },
                 [](const tap_effect& e) { return fmt::format("{} in {}", e.name, e.netns); },
                 [](const auto& e) { return show(e.where); }},
      what);
  return fmt::format("{} {}", kind_name(what), object);
}

bool survives_reboot(const effect& what) noexcept {
  return std::holds_alternative<directory_effect>(what) ||
         std::holds_alternative<file_effect>(what);
}

outcome<void> check(const effect& what) {
  return std::visit(
      overloaded{[](const process_effect& e) { return check_process(e); },
                 [](const mount_effect& e) { return check("mount.target", e.target); },
                 [](const tap_effect& e) { return check_tap(e); },
                 [&](const auto& e) { return check(kind_name(what), e.where); }},
      what);
}

outcome<void> check(const root_table& roots) {
  for (const auto& [which, path] : roots) {
    if (!absolute(path) || *normal_components(std::string_view{path}.substr(1)) < 2)
      return fail(errc::invalid_argument,
                  "root {}: \"{}\" is not absolute, plain and at least two folders deep",
                  name(which), path);
  }
  return {};
}

outcome<boot_id> current_boot_id() {
  std::ifstream file{"/proc/sys/kernel/random/boot_id"};
  std::string text;
  if (!std::getline(file, text))
    return fail(errc::host_io, "read /proc/sys/kernel/random/boot_id: is /proc mounted?");
  std::erase(text, '-');
  boot_id id{};
  if (text.size() != 2 * id.size())
    return fail(errc::host_io, "boot id: \"{}\" is no UUID", text);
  for (std::size_t i = 0; i < id.size(); ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return fail(errc::host_io, "boot id: \"{}\" is no UUID", text);
    id[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return id;
}

} // namespace troupe::journal
