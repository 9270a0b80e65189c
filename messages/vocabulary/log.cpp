#include "messages/vocabulary/log.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

namespace troupe::log {
namespace {

constexpr std::array<std::string_view, 5> names{"trace", "debug", "info", "warn", "error"};

std::atomic<level> threshold{level::info};
std::mutex guard;

sink& current() {
  static sink where;
  return where;
}

} // namespace

void set_sink(sink where) {
  const std::lock_guard lock{guard};
  current() = std::move(where);
}

void set_level(level least) noexcept { threshold = least; }

bool enabled(level severity) noexcept {
  return severity >= threshold.load(std::memory_order_relaxed);
}

std::optional<level> parse_level(std::string_view text) noexcept {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == text)
      return static_cast<level>(i);
  return std::nullopt;
}

std::string_view name(level severity) noexcept {
  return names[static_cast<std::size_t>(severity)];
}

void write(level severity, std::string_view who, std::string_view text) noexcept {
  try {
    const std::lock_guard lock{guard};
    if (current())
      current()(record{severity, who, text});
  } catch (...) { // a failing log must not take the pod down with it
  }
}

} // namespace troupe::log
