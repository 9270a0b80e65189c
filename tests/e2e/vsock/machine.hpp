#pragma once

#include <memory>
#include <string>

namespace troupe::testing {

/// A running guest with our vsock device and the program of this folder as its init, by whatever
/// transport. What the suite needs of it, and no more.
class vsock_machine {
public:
  virtual ~vsock_machine() = default;

  /// Where host clients connect; the guest's own connections come to "<path>_<port>".
  [[nodiscard]] virtual std::string socket_path() const = 0;
  /// Puts new device logic in place of the running one. Throws when that fails.
  virtual void replace_device() = 0;
  /// Whether the machine still runs.
  [[nodiscard]] virtual bool alive() = 0;
};

/// The machine under test, booted at the first call. Throws when it does not come up. Each
/// transport links its own.
[[nodiscard]] vsock_machine& machine();

} // namespace troupe::testing
