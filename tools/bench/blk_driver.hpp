#pragma once

#include "actors/devices/transport/mmio/registers.hpp"
#include "actors/devices/transport/mmio/session.hpp"
#include "actors/vcpu/memory/ram.hpp"

#include <memory>
#include <string>

namespace troupe::bench {

/// Bytes of one request; positions are multiples of it.
inline constexpr std::uint32_t blk_block = 4096;

/// A guest's block driver without a guest: RAM, one ring, and our device behind it on its worker,
/// over a real session of registers. Doorbell and interrupt are eventfds, as KVM would have them.
/// One thread.
class blk_driver final : public mmio::machine_port {
public:
  static constexpr std::uint16_t slots = 32;

  /// Opens `path` with O_DIRECT. host_io; failed_precondition: the device refuses the driver.
  [[nodiscard]] static outcome<std::unique_ptr<blk_driver>> make(const std::string& path);
  ~blk_driver() override;

  /// Puts a request into the ring. @pre slot < slots, and it is not in flight.
  outcome<void> offer(std::uint16_t slot, bool write, std::uint64_t block);
  void kick() const noexcept;
  /// Slots that are done since the last call; waits for one at least. deadline_exceeded;
  /// host_io: a request failed.
  [[nodiscard]] outcome<std::vector<std::uint16_t>> completed();

  outcome<std::unique_ptr<mmio::connection>> connect_doorbell(gpa at, std::uint32_t queue,
                                                              mmio::shared_event event) override;
  outcome<std::unique_ptr<bus::irq_line>> interrupt(std::uint32_t gsi) override;

private:
  blk_driver() = default;
  outcome<void> start(const std::string& path);
  outcome<void> negotiate();
  outcome<void> prepare_rings();
  outcome<void> take_used(std::vector<std::uint16_t>& into);
  void set(mmio::reg to, std::uint32_t value);
  void set_address(mmio::reg low, gpa at);
  [[nodiscard]] std::uint32_t get(mmio::reg from);

  memory::ram ram_;
  mmio::shared_event bell_;
  mmio::shared_event irq_;
  std::uint16_t offered_ = 0;
  std::uint16_t seen_ = 0;
  std::unique_ptr<devices::worker> loop_;
  std::unique_ptr<mmio::session> session_; // Goes first.
};

} // namespace troupe::bench
