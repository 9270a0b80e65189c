#pragma once

#include <sys/reboot.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <utility>

namespace troupe::testing {

/// What the program within a guest says on its console, for its judge on the host.
class guest_report {
public:
  /// `suite` begins each of its lines.
  explicit guest_report(std::string suite) : suite_(std::move(suite)) {}

  void say(const std::string& text) const {
    std::printf("%s: %s\n", suite_.c_str(), text.c_str());
    std::fflush(stdout);
  }

  /// "ok NAME", or "FAIL NAME: WHY" with what the case throws.
  void run_case(const std::string& name, const std::function<void()>& work) {
    try {
      work();
      say("ok " + name);
    } catch (const std::exception& failed) {
      ++failures_;
      say("FAIL " + name + ": " + failed.what());
    }
  }

  /// "done FAILURES", and the guest's end.
  void finish() const {
    say("done " + std::to_string(failures_));
    ::sync();
    ::reboot(RB_AUTOBOOT);
  }

private:
  std::string suite_;
  int failures_ = 0;
};

} // namespace troupe::testing
