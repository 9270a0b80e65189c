#include "actors/sandbox/journal/process_info.hpp"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace troupe::journal {
namespace {

constexpr std::size_t max_stat_line = 4096;
/// A token stands near the front of an argv; a process with a megabyte of it must not slow a sweep.
constexpr std::size_t max_argv = 256 * 1024;
constexpr int start_time_field = 22;
constexpr int state_field = 3;

std::string read_up_to(const std::string& path, std::size_t limit) {
  std::ifstream file{path, std::ios::binary};
  std::string text(limit, '\0');
  file.read(text.data(), static_cast<std::streamsize>(limit));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

} // namespace

std::optional<process_info> parse_stat(std::string_view line) {
  const auto bracket = line.rfind(") ");
  if (bracket == std::string_view::npos || bracket + 2 >= line.size())
    return std::nullopt;
  auto rest = line.substr(bracket + 2);
  process_info info;
  info.state = rest.front();
  for (int field = state_field; field < start_time_field; ++field) {
    const auto space = rest.find(' ');
    if (space == std::string_view::npos)
      return std::nullopt;
    rest.remove_prefix(space + 1);
  }
  const auto end = rest.data() + rest.size();
  if (std::from_chars(rest.data(), end, info.start_time).ec != std::errc{})
    return std::nullopt;
  return info;
}

std::optional<process_info> inspect(pid_t pid) {
  return parse_stat(read_up_to(fmt::format("/proc/{}/stat", pid), max_stat_line));
}

bool argv_contains(pid_t pid, std::string_view token) {
  return read_up_to(fmt::format("/proc/{}/cmdline", pid), max_argv).find(token) !=
         std::string::npos;
}

std::vector<pid_t> find_by_token(std::string_view token) {
  std::vector<pid_t> found;
  std::error_code ignored; // a process may vanish while /proc is being listed
  for (std::filesystem::directory_iterator entry{"/proc", ignored}, end; entry != end;
       entry.increment(ignored)) {
    const auto name = entry->path().filename().string();
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec == std::errc{} && *parsed.ptr == '\0' && pid != ::getpid() &&
        argv_contains(pid, token))
      found.push_back(pid);
  }
  return found;
}

} // namespace troupe::journal
