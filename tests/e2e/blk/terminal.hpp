#pragma once

#include "actors/devices/virtio/console/port.hpp"
#include "tests/e2e/blk/disks.hpp"
#include "tests/support/must.hpp"

#include <memory>
#include <mutex>
#include <string>

namespace troupe::testing {

/// The host's end of the guest's hvc0: types a text for it and hears one.
class host_terminal {
public:
  [[nodiscard]] const std::shared_ptr<console::port>& port() const { return port_; }

  /// Far more than a console's buffers hold.
  void type() { must(port_->type(terminal_text('h'))); }
  [[nodiscard]] bool heard_all() {
    const std::lock_guard held{mutex_};
    return heard_ == terminal_text('g');
  }

private:
  std::mutex mutex_; // Guards heard_.
  std::string heard_;
  std::shared_ptr<console::port> port_ =
      std::make_shared<console::port>([this](std::string_view text) {
        const std::lock_guard held{mutex_};
        heard_.append(text);
      });
};

} // namespace troupe::testing
