#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <functional>
#include <memory>
#include <thread>

namespace troupe::ctl {

/// Blocks what signal_watch receives, and SIGPIPE's default. Before any thread is made, so that all
/// inherit it.
void block_signals();

/// Takes SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGWINCH on a thread of its own.
class signal_watch {
public:
  /// @param taken called on the watch's thread; must not throw.
  [[nodiscard]] static outcome<std::unique_ptr<signal_watch>> start(std::function<void(int)> taken);
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;
  /// Afterwards `taken` is not called any more.
  ~signal_watch();

private:
  signal_watch() = default;
  void loop();

  std::function<void(int)> taken_;
  unique_fd signals_;
  unique_fd stop_;
  std::thread thread_;
};

} // namespace troupe::ctl
