#pragma once

#include "messages/ttrpc/channel.hpp"
#include "messages/vocabulary/log.hpp"
#include "messages/vocabulary/units.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::agent {

/// Longest log line taken from the guest; the rest up to its line end is skipped.
inline constexpr std::size_t longest_log_line = 8U << 10;

/// What one line of the agent's log says.
struct log_line {
  log::level severity = log::level::info;
  /// Message with its keys, "mount failed path=/x". No control characters.
  std::string text{};

  friend bool operator==(const log_line&, const log_line&) = default;
};

/// Reads one line: a JSON object with msg, level (TRCE DEBG INFO WARN ERRO CRIT) and further keys.
/// A line that is no such object is taken as text at level info. Never fails: the guest writes what
/// it likes.
[[nodiscard]] log_line parse_log_line(std::string_view line);

/// Cuts the guest's bytes into lines of at most longest_log_line bytes.
class line_cutter {
public:
  /// Takes from the front of `bytes` until a line is whole; empty lines are skipped.
  [[nodiscard]] std::optional<std::string> next(std::string_view& bytes);

private:
  std::string line_;
};

/// How many lines of one second are let through. The guest must not fill the host's disk.
class line_budget {
public:
  static constexpr unsigned lines_per_second = 1000;

  /// Whether a line of `now` is let through.
  [[nodiscard]] bool admit(time_point now) noexcept;
  /// Lines held back since the last call.
  [[nodiscard]] std::uint64_t take_dropped() noexcept;

private:
  time_point second_{};
  unsigned used_ = 0;
  std::uint64_t dropped_ = 0;
};

/// Copies the agent's log (guest port 1025) into troupe::log until the connection ends or the
/// returned handle is dropped. `who` is what the records carry, "sandbox/s1/guest". The io_context
/// must outlive it.
class log_forwarder {
public:
  /// `on_end` is called once, on the io thread, when the guest ends the stream.
  log_forwarder(ttrpc::stream_socket connection, std::string who, std::function<void()> on_end);
  log_forwarder(log_forwarder&&) noexcept = default;
  log_forwarder& operator=(log_forwarder&&) = delete;
  ~log_forwarder();

private:
  class core;
  std::shared_ptr<core> core_;
};

} // namespace troupe::agent
