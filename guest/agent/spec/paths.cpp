#include "guest/agent/spec/paths.hpp"

#include <algorithm>

namespace troupe::guest {
namespace {

/// Cuts the next part off a path; empty parts and "." are skipped, empty at the end.
std::string_view next_part(std::string_view& rest) {
  while (!rest.empty()) {
    const auto end = std::min(rest.find('/'), rest.size());
    const auto part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!part.empty() && part != ".")
      return part;
  }
  return {};
}

outcome<std::string> normalised(std::string_view field, std::string_view path) {
  if (path.size() > max_path_length)
    return fail(errc::invalid_argument, "{}: {} bytes, at most {} are allowed", field, path.size(),
                max_path_length);
  if (path.find('\0') != std::string_view::npos)
    return fail(errc::invalid_argument, "{}: holds a NUL byte", field);
  std::string out;
  for (auto part = next_part(path); !part.empty(); part = next_part(path)) {
    if (part == "..")
      return fail(errc::invalid_argument, "{}: '..' is not allowed", field);
    out += '/';
    out += part;
  }
  return out;
}

} // namespace

outcome<std::string> container_path(std::string_view field, std::string_view path) {
  if (path.empty() || path.front() != '/')
    return fail(errc::invalid_argument, "{}: '{}' is not an absolute path", field,
                path.substr(0, 64));
  auto out = TRY(normalised(field, path));
  return out.empty() ? std::string{"/"} : out;
}

outcome<std::string> cgroup_path(std::string_view path, std::string_view container) {
  std::string text{path.empty() ? container : path};
  std::replace(text.begin(), text.end(), ':', '/');
  const auto out = TRY(normalised("linux.cgroupsPath", text));
  if (out.empty())
    return fail(errc::invalid_argument, "linux.cgroupsPath: '{}' is the root itself", path);
  return out.substr(1);
}

outcome<std::string> sysctl_path(std::string_view key) {
  const auto separator = key.find_first_of("./");
  std::string text{key};
  if (separator != std::string_view::npos && key[separator] == '.')
    std::replace(text.begin(), text.end(), '.', '/');
  const auto out = TRY(normalised("linux.sysctl", text));
  if (out.empty())
    return fail(errc::invalid_argument, "linux.sysctl: an empty key");
  return out.substr(1);
}

} // namespace troupe::guest
