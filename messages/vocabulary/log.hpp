#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// Logging as a port: code says what happened, the program decides where it goes (the bundle's
/// `log` fifo through spdlog, a vsock stream in the guest, a vector in tests). Without a sink
/// nothing is written: `start` must not put a stray byte on stderr.
namespace troupe::log {

enum class level : std::uint8_t { trace, debug, info, warn, error };

struct record {
  level severity = level::info;
  /// Who speaks: an actor path or a leaf's name, e.g. "sandbox/c1/agent".
  std::string_view who;
  std::string_view text;
};

/// Called from any thread, one call at a time.
using sink = std::function<void(const record&)>;

/// Replaces the sink; an empty one silences. Not from within a sink.
void set_sink(sink where);

/// Records below `least` are dropped before they are formatted.
void set_level(level least) noexcept;
[[nodiscard]] bool enabled(level severity) noexcept;

/// "trace", "debug", "info", "warn", "error", or nothing for other words.
[[nodiscard]] std::optional<level> parse_level(std::string_view text) noexcept;
[[nodiscard]] std::string_view name(level severity) noexcept;

/// Hands a finished record to the sink. Never throws; a sink that does is ignored.
void write(level severity, std::string_view who, std::string_view text) noexcept;

template <class... Args>
void at(level severity, std::string_view who, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(severity))
    write(severity, who, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void trace(std::string_view who, fmt::format_string<Args...> text, Args&&... args) {
  at(level::trace, who, text, std::forward<Args>(args)...);
}
template <class... Args>
void debug(std::string_view who, fmt::format_string<Args...> text, Args&&... args) {
  at(level::debug, who, text, std::forward<Args>(args)...);
}
template <class... Args>
void info(std::string_view who, fmt::format_string<Args...> text, Args&&... args) {
  at(level::info, who, text, std::forward<Args>(args)...);
}
template <class... Args>
void warn(std::string_view who, fmt::format_string<Args...> text, Args&&... args) {
  at(level::warn, who, text, std::forward<Args>(args)...);
}
template <class... Args>
void error(std::string_view who, fmt::format_string<Args...> text, Args&&... args) {
  at(level::error, who, text, std::forward<Args>(args)...);
}

} // namespace troupe::log
