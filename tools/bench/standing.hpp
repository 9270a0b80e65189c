#pragma once

#include "tools/bench/program.hpp"

#include <string>
#include <vector>

namespace troupe::bench {

/// A process with machines that were made and never run: ours, or QEMU's. Whoever drops it kills
/// it.
class standing {
public:
  /// Starts it and waits until its first machine stands: QEMU has greeted on its monitor, ours has
  /// told. `argv` is given a socket as descriptor 3.
  [[nodiscard]] static outcome<standing> start(const std::vector<std::string>& argv,
                                               const stop_signal& stop);
  /// Milliseconds from just before its exec until then.
  [[nodiscard]] double took_ms() const noexcept { return took_ms_; }
  [[nodiscard]] pid_t pid() const noexcept { return process_.pid(); }
  /// Asks ours for one more and waits until it stands.
  [[nodiscard]] outcome<void> another(const stop_signal& stop) const;

private:
  standing(program process, unique_fd socket)
      : process_(std::move(process)), socket_(std::move(socket)) {}
  [[nodiscard]] outcome<void> await(const stop_signal& stop) const;

  program process_;
  unique_fd socket_;
  double took_ms_ = 0;
};

/// QEMU's microvm with 128 MiB, which is a shared memfd like ours, on KVM, and no devices but its
/// own. `kernel` and `initrd` may be empty. not_found.
[[nodiscard]] outcome<std::vector<std::string>> qemu_standing(const std::string& kernel,
                                                              const std::string& initrd);
/// Ours with the least kernel, and what it needs in `folder`.
[[nodiscard]] outcome<std::vector<std::string>> ours_standing(const std::string& build,
                                                              const std::string& folder);

} // namespace troupe::bench
