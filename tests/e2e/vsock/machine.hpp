#pragma once

#include "actors/devices/virtio/vsock/device.hpp"
#include "tests/support/guest.hpp"
#include "tests/support/scratch.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace troupe::testing {

/// How much of everything.
struct suite_scale {
  std::size_t bulk_bytes = 64U << 20U; ///< More than all buffers on the way hold, 4 MiB at least.
  std::size_t connections = 200;       ///< At once.
  /// How often a client asks before it believes a refusal: a device gives its guest two seconds to
  /// answer, and a slow kernel with many processes may need more.
  int dials = 1;
};

/// A running guest with our vsock device and the program of this folder as its init.
class vsock_machine {
public:
  /// Throws when it does not come up.
  vsock_machine();

  /// Where host clients connect; the guest's own connections come to "<path>_<port>".
  [[nodiscard]] std::string socket_path() const { return folder_.file("vsock"); }
  /// Puts new device logic in place of the running one. Throws when that fails.
  void replace_device() { guest_->replace_device(0, new_device()); }
  [[nodiscard]] static suite_scale scale();
  /// Whether the machine still runs.
  [[nodiscard]] bool alive() { return guest_->alive(); }

private:
  [[nodiscard]] std::unique_ptr<virtio::device> new_device() const;

  troupe::test::scratch_folder folder_;
  std::unique_ptr<devices::worker> loop_;
  std::shared_ptr<vsock::endpoint> endpoint_;
  std::unique_ptr<guest> guest_;
};

/// The machine under test, booted at the first call; skips the suite where it cannot run.
[[nodiscard]] vsock_machine& machine();

} // namespace troupe::testing
