#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <string_view>

namespace troupe::vcpu {

/// Where a processor is.
enum class phase : std::uint8_t {
  created, ///< Its thread is starting.
  paused,  ///< Not in the guest; no instruction is half done; registers may be read and set.
  running, ///< In the guest or serving one of its exits.
  parked,  ///< The guest cannot go on, see vcpu_end. Registers may be read.
  ended,   ///< Its thread is gone or about to return.
};

enum class command : std::uint8_t { pause, run, end };

[[nodiscard]] std::string_view name(phase where) noexcept;
[[nodiscard]] std::string_view name(command what) noexcept;

/// What the thread does next.
enum class step : std::uint8_t { wait, enter_guest, leave };

/// Every rule about commands and phases of one processor, without threads: commands come in by
/// ask(), the processor's thread reads next() and reports by reached(). Born `created`, wanting
/// pause. Not thread-safe.
class control {
public:
  /// Takes a command. The last one counts, except that nothing is taken after `end`.
  /// failed_precondition: run or pause of a processor that ends or ended, run of a parked one.
  [[nodiscard]] outcome<void> ask(command what);

  [[nodiscard]] step next() const noexcept;

  /// The thread's report. A parked processor stays parked until it ends, an ended one ended.
  void reached(phase where) noexcept;

  [[nodiscard]] phase where() const noexcept { return where_; }
  [[nodiscard]] command wanted() const noexcept { return wanted_; }

  /// Whether the command wanted now has been obeyed: a parked processor is as good as paused.
  [[nodiscard]] bool obeyed() const noexcept;

private:
  phase where_ = phase::created;
  command wanted_ = command::pause;
};

} // namespace troupe::vcpu
