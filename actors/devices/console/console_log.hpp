#pragma once

#include "actors/devices/console/lines.hpp"

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::console {

/// A guest's console for people: its lines go to the log, as many as a whole boot needs but no
/// flood, and the last ones are kept for error texts. Any thread.
class console_log {
public:
  /// Keeps `kept` lines.
  explicit console_log(std::size_t kept);

  /// Whose console it is, for the count of dropped lines.
  void belongs_to(std::string machine);

  void feed(std::string_view bytes);
  /// The stream ended: what has no line end is a line too.
  void finish();

  /// The last lines, oldest first.
  [[nodiscard]] std::vector<std::string> tail() const;
  /// What the guest's kernel said when it gave up, or nothing.
  [[nodiscard]] std::string panic_line() const;

private:
  void show(const std::string& line);

  mutable std::mutex mutex_; // Guards all below.
  std::string machine_;
  text_lines lines_;
  line_budget budget_;
  console::tail tail_;
};

} // namespace troupe::console
