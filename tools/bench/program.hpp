#pragma once

#include "actors/sandbox/hypervisor/qemu/spawn.hpp"
#include "tools/bench/stop.hpp"

#include <span>
#include <string>
#include <vector>

namespace troupe::bench {

/// Where Debian has a program: an absolute path. not_found.
[[nodiscard]] outcome<std::string> find_program(const std::string& name);

/// A child process. Whoever drops it kills its process group.
class program {
public:
  /// @param output takes its stdout and stderr. @param inherited become descriptors 3 and up.
  [[nodiscard]] static outcome<program> start(const std::vector<std::string>& argv, int output,
                                              std::span<const int> inherited = {});
  program(program&&) noexcept = default;
  program& operator=(program&&) = delete;
  ~program();

  /// Just before its exec.
  [[nodiscard]] time_point began() const noexcept { return began_; }
  /// Readable once it has ended.
  [[nodiscard]] int pidfd() const noexcept { return child_.pidfd.get(); }
  [[nodiscard]] pid_t pid() const noexcept { return child_.pid; }

  /// Its exit status, 128 + n when signal n ended it. cancelled, deadline_exceeded: it runs on.
  [[nodiscard]] outcome<int> wait(const stop_signal& stop, time_point deadline);
  void signal(int number) noexcept;

private:
  program(hypervisor::qemu::child child, time_point began)
      : child_(std::move(child)), began_(began) {}

  hypervisor::qemu::child child_;
  time_point began_;
};

/// The end of what a program wrote to this file.
[[nodiscard]] std::string said(int file);

/// What a program that ran to its end left.
struct finished {
  double took_ms = 0; ///< from just before its exec until its end was seen
  int status = 0;
  std::string said; ///< stdout and stderr
};

/// Runs it to its end; one that is not done in time is killed. cancelled; deadline_exceeded.
[[nodiscard]] outcome<finished> run(const std::vector<std::string>& argv, const stop_signal& stop,
                                    milliseconds patience);

} // namespace troupe::bench
