#include "tools/bench/usage.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace troupe::bench {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

/// The number after "KEY:" at the beginning of a line.
outcome<std::uint64_t> number_of(std::string_view text, std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const auto line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(key) || line.substr(key.size(), 1) != ":")
      continue;
    const auto digits = std::min(line.find_first_of("0123456789"), line.size());
    std::uint64_t value = 0;
    if (std::from_chars(line.data() + digits, line.data() + line.size(), value).ec == std::errc{})
      return value;
  }
  return fail(errc::corrupt, "{}: is not told", key);
}

pid_t parent_of(std::string_view status) {
  const auto parent = number_of(status, "PPid");
  return parent ? static_cast<pid_t>(*parent) : 0;
}

std::vector<std::string> words_of(const std::string& command_line) {
  std::vector<std::string> words;
  std::istringstream in{command_line};
  for (std::string word; std::getline(in, word, '\0');)
    words.push_back(word);
  return words;
}

} // namespace

outcome<usage> parse_usage(std::string_view status, std::string_view rollup) {
  usage out;
  out.rss_anon_kb = TRY(number_of(status, "RssAnon"));
  out.rss_kb = TRY(number_of(status, "VmRSS"));
  out.threads = TRY(number_of(status, "Threads"));
  out.pss_kb = TRY(number_of(rollup, "Pss"));
  return out;
}

outcome<usage> read_usage(pid_t pid) {
  const auto folder = fmt::format("/proc/{}", pid);
  const auto status = read_file(folder + "/status");
  if (status.empty())
    return fail(errc::not_found, "process {}: has ended", pid);
  auto out = parse_usage(status, read_file(folder + "/smaps_rollup"));
  return out ? out : within(fmt::format("process {}", pid), out.error());
}

outcome<std::uint64_t> available_kb() {
  return number_of(read_file("/proc/meminfo"), "MemAvailable");
}

std::vector<process> list_processes() {
  std::vector<process> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc", error}) {
    process found;
    const auto name = entry.path().filename().string();
    if (std::from_chars(name.data(), name.data() + name.size(), found.pid).ec != std::errc{})
      continue;
    found.argv = words_of(read_file(entry.path() / "cmdline"));
    found.parent = parent_of(read_file(entry.path() / "status"));
    if (!found.argv.empty())
      out.push_back(std::move(found));
  }
  return out;
}

} // namespace troupe::bench
