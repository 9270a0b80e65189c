#pragma once

#include "actors/devices/transport/mmio/machine_port.hpp"
#include "actors/vcpu/memory/address_range.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace troupe::mmio {

class session;

/// What a machine in this process offers to the device behind one of its windows.
struct attachment {
  std::shared_ptr<const memory::guest_memory> ram;
  /// Keep it as long as the session.
  std::shared_ptr<machine_port> machine;
  memory::device_window window;
};

/// Starts a session of the device. Its owner ends it; the machine only borrows it.
using attach = std::function<outcome<std::shared_ptr<session>>(const attachment&)>;

/// The devices of one pod that wait for its machine, in the order in which they came, which is that
/// of the windows. Any thread.
class board {
public:
  struct entry {
    std::string name;
    attach how;
  };

  /// already_exists: one of that name waits.
  outcome<void> offer(std::string name, attach how) {
    const std::lock_guard lock{mutex_};
    for (const auto& one : entries_)
      if (one.name == name)
        return fail(errc::already_exists, "device {}: waits for the machine already", name);
    entries_.push_back({std::move(name), std::move(how)});
    return {};
  }

  /// Unknown names are ignored.
  void withdraw(const std::string& name) {
    const std::lock_guard lock{mutex_};
    std::erase_if(entries_, [&](const entry& one) { return one.name == name; });
  }

  void clear() {
    const std::lock_guard lock{mutex_};
    entries_.clear();
  }

  [[nodiscard]] std::vector<entry> all() const {
    const std::lock_guard lock{mutex_};
    return entries_;
  }

private:
  mutable std::mutex mutex_;
  std::vector<entry> entries_;
};

} // namespace troupe::mmio
