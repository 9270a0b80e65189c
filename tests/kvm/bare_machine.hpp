#pragma once

#include "actors/devices/transport/mmio/session.hpp"
#include "actors/vcpu/machine/machine.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

/// The whole of vcpu::machine with a guest of guests/bare, which brings its own drivers.
namespace troupe::testing {

/// Emulating KVMs and busy hosts: far more than any guest here takes.
inline constexpr milliseconds guest_patience{60'000};
/// How long the end of any machine may take, whatever its guest does: a device's worker is waited
/// for up to a second, a processor is out of the guest at once.
inline constexpr milliseconds teardown_bound{2'000};

/// Where a guest's file is.
[[nodiscard]] std::string guest_file(const std::string& name);

/// 16 MiB, one processor, four windows, the exit port.
[[nodiscard]] vcpu::machine_order small_order();

/// One machine, and a worker for its devices.
class bare_machine {
public:
  explicit bare_machine(vcpu::machine_order order = small_order());
  ~bare_machine();
  bare_machine(const bare_machine&) = delete;
  bare_machine& operator=(const bare_machine&) = delete;

  /// Into the next window.
  mmio::session& plug(std::unique_ptr<virtio::device> device);
  void boot(const std::string& guest, const std::string& words = {});
  /// How it ended by itself. Throws after guest_patience.
  [[nodiscard]] vcpu::ending wait();
  [[nodiscard]] vcpu::ending run(const std::string& guest, const std::string& words = {});
  /// Ends machine, sessions and worker; how long it took. Once.
  milliseconds tear_down();

  [[nodiscard]] vcpu::machine& it() { return *machine_; }
  [[nodiscard]] devices::worker& loop() { return *loop_; }
  /// How often the end was told.
  [[nodiscard]] int told() const;
  /// What the guest wrote last, a line each.
  [[nodiscard]] std::string console();
  /// Waits until the guest has written such a line. Throws after guest_patience.
  void wait_line(const std::string& line);

private:
  struct shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<vcpu::ending> how;
    int told = 0;
  };

  std::shared_ptr<shared> end_ = std::make_shared<shared>();
  std::unique_ptr<devices::worker> loop_;
  std::shared_ptr<vcpu::machine> machine_;
  std::vector<std::unique_ptr<mmio::session>> sessions_;
};

/// "exit code: exit code 0" and the like, with what the guest said about it.
[[nodiscard]] std::string story(bare_machine& of, const vcpu::ending& how);

} // namespace troupe::testing
