#include "guest/agent/boot/options.hpp"

#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <utility>

namespace troupe::guest {
namespace {

using std::string_view;

/// The next word of a kernel command line; quotes keep spaces together and are dropped.
std::string next_word(string_view& rest) {
  std::string word;
  bool quoted = false;
  std::size_t i = 0;
  while (i < rest.size() && (rest[i] == ' ' || rest[i] == '\n' || rest[i] == '\t'))
    ++i;
  for (; i < rest.size(); ++i) {
    const char c = rest[i];
    if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == ' ' || c == '\n' || c == '\t'))
      break;
    else
      word += c;
  }
  rest.remove_prefix(i);
  return word;
}

outcome<std::uint32_t> number(string_view key, string_view text, std::uint32_t most) {
  std::uint32_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || text.empty() || value > most)
    return fail(errc::invalid_argument, "{}: '{}' is not a number from 0 to {}", key, text, most);
  return value;
}

outcome<void> set_level(string_view key, string_view value, agent_options& options) {
  options.log_level = TRY(parse_agent_level(key, value));
  return {};
}

outcome<void> set_log_port(string_view key, string_view value, agent_options& options) {
  options.log_vport = TRY(number(key, value, UINT32_MAX));
  return {};
}

outcome<void> set_address(string_view key, string_view value, agent_options& options) {
  if (value.empty())
    return fail(errc::invalid_argument, "{}: must not be empty", key);
  options.server_address = value;
  return {};
}

outcome<void> set_pipe(string_view key, string_view value, agent_options& options) {
  options.pipe_bytes = TRY(number(key, value, max_pipe_bytes));
  return {};
}

outcome<void> set_timeout(string_view key, string_view value, agent_options& options) {
  const auto most = static_cast<std::uint32_t>(max_launch_timeout.count());
  const auto wanted = TRY(number(key, value, most));
  if (wanted == 0)
    return fail(errc::invalid_argument, "{}: must be at least 1 second", key);
  options.launch_timeout = seconds{wanted};
  return {};
}

outcome<void> check_unified(string_view key, string_view value, agent_options&) {
  if (value == "true" || value == "1")
    return {};
  return fail(errc::invalid_argument, "{}: '{}': only cgroup v2 is served here", key, value);
}

using setter = outcome<void> (*)(string_view, string_view, agent_options&);

constexpr std::array<std::pair<string_view, setter>, 6> cmdline_keys{{
    {"agent.log", set_level},
    {"agent.log_vport", set_log_port},
    {"agent.server_addr", set_address},
    {"agent.container_pipe_size", set_pipe},
    {"agent.launch_process_timeout", set_timeout},
    {"agent.unified_cgroup_hierarchy", check_unified},
}};

outcome<void> apply_word(string_view word, agent_options& options) {
  const auto equals = word.find('=');
  const auto key = word.substr(0, equals);
  const auto value = equals == string_view::npos ? string_view{} : word.substr(equals + 1);
  for (const auto& [known, set] : cmdline_keys)
    if (known == key)
      return set(key, value, options);
  return {};
}

outcome<void> apply_argument(string_view name, string_view value, agent_options& options) {
  if (name == "--server-addr")
    return set_address(name, value, options);
  if (name == "--log-level")
    return set_level(name, value, options);
  if (name == "--work-dir" || name == "--cgroup-root") {
    if (value.empty() || value.front() != '/')
      return fail(errc::invalid_argument, "{}: '{}' is not an absolute path", name, value);
    (name == "--work-dir" ? options.work_dir : options.cgroup_root) = value;
    return {};
  }
  return fail(errc::invalid_argument, "{}: no such option", name);
}

} // namespace

outcome<log::level> parse_agent_level(std::string_view key, std::string_view text) {
  constexpr std::array<string_view, 4> gravest{"fatal", "panic", "critical", "warning"};
  if (const auto plain = log::parse_level(text))
    return *plain;
  for (const auto word : gravest)
    if (word == text)
      return word == "warning" ? log::level::warn : log::level::error;
  return fail(errc::invalid_argument, "{}: '{}' is not a log level", key, text);
}

outcome<void> apply_cmdline(std::string_view cmdline, agent_options& options) {
  for (auto word = next_word(cmdline); !word.empty(); word = next_word(cmdline))
    TRY(apply_word(word, options));
  return {};
}

outcome<void> apply_arguments(std::span<char* const> arguments, agent_options& options) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const string_view name = arguments[i];
    if (name == "--lenient-cgroups") {
      options.lenient_cgroups = true;
      continue;
    }
    if (i + 1 == arguments.size())
      return fail(errc::invalid_argument, "{}: no such option, or its value is missing", name);
    TRY(apply_argument(name, arguments[++i], options));
  }
  return {};
}

outcome<void> apply_environment(agent_options& options) {
  if (const char* address = std::getenv("KATA_AGENT_SERVER_ADDR"))
    TRY(set_address("KATA_AGENT_SERVER_ADDR", address, options));
  if (const char* level = std::getenv("KATA_AGENT_LOG_LEVEL"))
    TRY(set_level("KATA_AGENT_LOG_LEVEL", level, options));
  return {};
}

} // namespace troupe::guest
