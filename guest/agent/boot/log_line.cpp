#include "guest/agent/boot/log_line.hpp"

#include <array>
#include <ctime>

namespace troupe::guest {
namespace {

constexpr std::array<std::string_view, 5> level_words{"TRCE", "DEBG", "INFO", "WARN", "ERRO"};

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out.append({'\\', c});
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (byte < 0x20 || byte == 0x7f)
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    else
      out += c;
  }
}

void append_field(std::string& out, std::string_view key, std::string_view value) {
  out += out.size() == 1 ? "\"" : ",\"";
  out += key;
  out += "\":\"";
  append_escaped(out, value);
  out += '"';
}

std::string timestamp(wall_time when) {
  using namespace std::chrono;
  const auto since = duration_cast<nanoseconds>(when.time_since_epoch());
  const auto whole = floor<seconds>(since);
  const auto seconds_since = static_cast<std::time_t>(whole.count());
  std::tm utc{};
  ::gmtime_r(&seconds_since, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     (since - whole).count());
}

} // namespace

std::string format_log_line(const log::record& what, wall_time when, int pid) {
  std::string line{"{"};
  append_field(line, "msg", what.text.substr(0, max_log_text));
  append_field(line, "level", level_words[static_cast<std::size_t>(what.severity)]);
  append_field(line, "ts", timestamp(when));
  append_field(line, "version", agent_version);
  append_field(line, "pid", fmt::format_int(pid).str());
  append_field(line, "name", "kata-agent");
  append_field(line, "source", "agent");
  append_field(line, "subsystem", what.who);
  line += "}\n";
  return line;
}

} // namespace troupe::guest
