#pragma once

#include "actors/devices/transport/mmio/session.hpp"
#include "actors/vcpu/machine/machine.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace troupe::testing {

/// Leaves the process with exit code 77 unless machines can run here: /dev/kvm, the kernel, and
/// what else a suite needs.
void skip_without_kvm(const std::string& kernel, const std::vector<std::string>& needs = {});

/// A Linux guest under our own VMM on /dev/kvm, its devices behind virtio-mmio. One at a time in a
/// process, since its console comes by way of the log. Everything throws when it fails. Not for
/// threads of the machine.
class kvm_guest {
public:
  /// A guest with room for that many devices.
  explicit kvm_guest(std::uint32_t devices, std::uint32_t vcpus = 1);
  kvm_guest(const kvm_guest&) = delete;
  kvm_guest& operator=(const kvm_guest&) = delete;
  /// end(), without throwing.
  ~kvm_guest();

  /// Before boot. `loop` outlives the guest.
  mmio::session& add(std::unique_ptr<virtio::device> device, devices::worker& loop);
  /// `words`: for the kernel's command line, besides those of every guest.
  void boot(const std::string& kernel, const std::string& initrd, const std::string& words);

  /// The console's next line; nothing once the guest has ended or at `until`.
  [[nodiscard]] std::optional<std::string> next_line(time_point until);
  /// Hands on the console's lines until the guest has ended by a reset of its own, as it must
  /// within `limit`.
  void run(seconds limit, const std::function<void(const std::string&)>& heard);

  [[nodiscard]] bool alive() const { return !machine_->how(); }
  [[nodiscard]] vcpu::machine& machine() { return *machine_; }
  /// No processor of it runs any more, and every device stopped as it must; says how much they did.
  void end();

private:
  std::mutex mutex_; // Guards both below.
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  std::shared_ptr<vcpu::machine> machine_;
  std::vector<std::unique_ptr<mmio::session>> sessions_;
};

} // namespace troupe::testing
