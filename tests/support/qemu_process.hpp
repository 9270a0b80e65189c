#pragma once

#include "actors/sandbox/hypervisor/qemu/spawn.hpp"
#include "messages/vocabulary/units.hpp"

#include <optional>
#include <string>
#include <vector>

namespace troupe::testing {

inline constexpr auto qemu_binary = "/usr/bin/qemu-system-x86_64";

/// A QEMU that is told what to do by its words alone, and whose console is its standard output.
class qemu_process {
public:
  /// `words` follow the program's name; the first serial port is the console. Throws.
  explicit qemu_process(std::vector<std::string> words);
  qemu_process(const qemu_process&) = delete;
  qemu_process& operator=(const qemu_process&) = delete;
  /// Kills it if it still runs.
  ~qemu_process();

  /// The console's next line, or one of QEMU's complaints; nothing at its end or at `until`.
  [[nodiscard]] std::optional<std::string> next_line(time_point until);
  /// Its exit status, or -1 when a signal ended it; nothing when it runs on for so long.
  [[nodiscard]] std::optional<int> wait(milliseconds limit);

private:
  hypervisor::qemu::child child_;
  unique_fd console_;
  std::string text_;
  std::optional<int> status_;
};

} // namespace troupe::testing
