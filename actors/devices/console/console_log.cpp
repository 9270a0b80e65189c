#include "actors/devices/console/console_log.hpp"

#include "messages/vocabulary/log.hpp"
#include "messages/vocabulary/units.hpp"

namespace troupe::console {
namespace {

/// 500 lines in 5 s: a whole boot with all its words passes, a flood does not.
constexpr std::size_t lines_per_window = 500;
constexpr std::int64_t window_ms = 5000;

} // namespace

console_log::console_log(std::size_t kept)
    : lines_([this](const std::string& line) { show(line); }), budget_(lines_per_window, window_ms),
      tail_(kept) {}

void console_log::belongs_to(std::string machine) {
  const std::lock_guard guard{mutex_};
  machine_ = std::move(machine);
}

void console_log::feed(std::string_view bytes) {
  const std::lock_guard guard{mutex_};
  lines_.feed(bytes);
}

void console_log::finish() {
  const std::lock_guard guard{mutex_};
  lines_.finish();
}

void console_log::show(const std::string& line) {
  const auto now = monotonic_clock::now().time_since_epoch();
  const auto turn = budget_.spend(std::chrono::duration_cast<milliseconds>(now).count());
  if (turn.dropped_before > 0)
    log::warn("console", "{} lines of {} dropped", turn.dropped_before, machine_);
  if (turn.pass)
    log::info("console", "{}", line);
  tail_.push(line);
}

std::vector<std::string> console_log::tail() const {
  const std::lock_guard guard{mutex_};
  return tail_.lines();
}

std::string console_log::panic_line() const {
  for (const auto& line : tail())
    if (line.find("Kernel panic") != std::string::npos)
      return line;
  return {};
}

} // namespace troupe::console
