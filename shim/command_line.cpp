#include "shim/command_line.hpp"

#include <map>
#include <optional>

namespace troupe::shim {
namespace {

/// Flags as given, before they mean anything.
struct raw_line {
  std::map<std::string, std::string, std::less<>> values;
  std::optional<std::string> word;
};

bool is_switch(std::string_view flag) noexcept {
  return flag == "debug" || flag == "v" || flag == "version" || flag == "info" || flag == "h" ||
         flag == "help";
}

bool takes_value(std::string_view flag) noexcept {
  return flag == "namespace" || flag == "id" || flag == "address" || flag == "publish-binary" ||
         flag == "bundle" || flag == "socket";
}

outcome<raw_line> split(std::span<const char* const> arguments) {
  raw_line out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view text = arguments[i];
    if (text.size() > max_argument_length)
      return fail(errc::invalid_argument, "argument {}: longer than {} bytes", i + 1,
                  max_argument_length);
    if (!text.starts_with('-')) {
      if (out.word)
        return fail(errc::invalid_argument, "action: both '{}' and '{}' given", *out.word, text);
      out.word = text;
      continue;
    }
    text.remove_prefix(text.starts_with("--") ? 2 : 1);
    const auto equals = text.find('=');
    const auto flag = text.substr(0, equals);
    if (is_switch(flag)) {
      out.values[std::string{flag}] = "true";
    } else if (!takes_value(flag)) {
      return fail(errc::invalid_argument, "-{}: no such flag", flag);
    } else if (equals != std::string_view::npos) {
      out.values[std::string{flag}] = text.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      out.values[std::string{flag}] = arguments[++i];
    } else {
      return fail(errc::invalid_argument, "-{}: needs a value", flag);
    }
  }
  return out;
}

outcome<action> action_of(const raw_line& raw) {
  const auto given = [&](auto... flags) { return (raw.values.contains(flags) || ...); };
  if (given("h", "help"))
    return action::help;
  if (given("v", "version"))
    return action::version;
  if (given("info"))
    return action::info;
  if (!raw.word)
    return action::run;
  if (*raw.word == "start")
    return action::start;
  if (*raw.word == "delete")
    return action::remove;
  return fail(errc::invalid_argument, "action: '{}' is neither start nor delete", *raw.word);
}

std::string value(const raw_line& raw, std::string_view flag) {
  const auto found = raw.values.find(flag);
  return found == raw.values.end() ? std::string{} : found->second;
}

} // namespace

outcome<command_line> parse_command_line(std::span<const char* const> arguments) {
  const auto raw = TRY(split(arguments));
  command_line out;
  out.what = TRY(action_of(raw));
  out.debug = raw.values.contains("debug");
  out.address = value(raw, "address");
  out.publish_binary = value(raw, "publish-binary");
  out.bundle = value(raw, "bundle");
  if (out.what != action::run && out.what != action::start && out.what != action::remove)
    return out;
  const auto named = namespace_id::parse(value(raw, "namespace"));
  if (!named)
    return within("-namespace", named.error());
  const auto id = container_id::parse(value(raw, "id"));
  if (!id)
    return within("-id", id.error());
  if (out.what == action::remove && out.bundle.empty())
    return fail(errc::invalid_argument, "-bundle: delete needs it");
  out.containerd_namespace = *named;
  out.id = *id;
  return out;
}

std::string_view usage() noexcept {
  return "usage: containerd-shim-troupe-v2 -namespace NS -id ID [-address SOCKET]\n"
         "         [-publish-binary PATH] [-bundle DIR] [-debug] [start | delete]\n"
         "       containerd-shim-troupe-v2 -v | -info | -help\n"
         "containerd runs this; people want troupectl.\n";
}

} // namespace troupe::shim
