#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace troupe::testing {

/// How much of everything. A machine whose kernel is emulated is given less to do, never fewer
/// checks.
struct suite_scale {
  std::size_t bulk_bytes = 64U << 20U; ///< More than all buffers on the way hold, 4 MiB at least.
  std::size_t connections = 200;       ///< At once.
  /// How often a client asks before it believes a refusal: a device gives its guest two seconds to
  /// answer, and a slow kernel with many processes may need more.
  int dials = 1;
};

/// A running guest with our vsock device and the program of this folder as its init, by whatever
/// transport. What the suite needs of it, and no more.
class vsock_machine {
public:
  virtual ~vsock_machine() = default;

  /// Where host clients connect; the guest's own connections come to "<path>_<port>".
  [[nodiscard]] virtual std::string socket_path() const = 0;
  /// Puts new device logic in place of the running one. Throws when that fails.
  virtual void replace_device() = 0;
  [[nodiscard]] virtual suite_scale scale() const { return {}; }
  /// Whether the machine still runs.
  [[nodiscard]] virtual bool alive() = 0;
};

/// The machine under test, booted at the first call. Throws when it does not come up. Each
/// transport links its own.
[[nodiscard]] vsock_machine& machine();

} // namespace troupe::testing
