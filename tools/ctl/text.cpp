#include "tools/ctl/text.hpp"

#include "messages/vocabulary/log.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace troupe::ctl {

std::string failure_text(const failure& why, bool json) {
  if (!json)
    return "troupectl: " + why.to_string();
  const nlohmann::ordered_json error = {{"code", name(why.code)}, {"text", why.text}};
  return nlohmann::ordered_json{{"error", error}}.dump(
      -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void complain(const failure& why, bool json) {
  std::fprintf(stderr, "%s\n", failure_text(why, json).c_str());
}

void log_to_stderr(bool everything) {
  log::set_level(everything ? log::level::debug : log::level::warn);
  log::set_sink([](const log::record& r) {
    const auto line = fmt::format("troupectl: {}: {}: {}\n", log::name(r.severity), r.who, r.text);
    std::fwrite(line.data(), 1, line.size(), stderr);
  });
}

} // namespace troupe::ctl
