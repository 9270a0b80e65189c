#pragma once

#include "actors/devices/virtio/chain.hpp"
#include "actors/devices/virtio/ring_raw.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace troupe::virtio {

/// Largest split ring the specification knows; a device usually allows less.
inline constexpr std::uint16_t ring_size_max = 32768;

/// How the device tells the driver that there is something in the used ring.
class interrupt {
public:
  virtual ~interrupt() = default;
  virtual void raise() noexcept = 0;
};

/// A chain that was handed to the device and is not in the used ring yet.
struct taken_chain {
  std::uint16_t head = 0;
  std::uint8_t attempts = 0;
  friend bool operator==(const taken_chain&, const taken_chain&) = default;
};

/// Everything that makes up a queue, without a pointer: what the transport configured and how far
/// the device got. Latched when the queue is attached; later register writes do not reach it.
struct queue_state {
  /// Ring entries, a power of two.
  std::uint16_t size = 0;
  /// Guest addresses of the three parts, aligned to 16, 2 and 4 bytes.
  gpa descriptors = 0;
  gpa available = 0;
  gpa used = 0;
  /// Next entry to take from the available ring and to fill in the used ring (free running).
  std::uint16_t next_available = 0;
  std::uint16_t next_used = 0;
  /// Negotiated features VIRTIO_F_EVENT_IDX and VIRTIO_F_INDIRECT_DESC.
  bool event_index = false;
  bool indirect = false;
  /// In-flight chains, by head.
  std::vector<taken_chain> taken;

  friend bool operator==(const queue_state&, const queue_state&) = default;
};

/// The device's end of a split virtqueue (VIRTIO 1.2, 2.7). Every byte the driver wrote is hostile:
/// a lie fails with guest_fault and leaves the queue dead until it is attached anew, so no lie can
/// make the device loop, grow or touch what is not guest RAM.
///
/// Owned by the transport (the ledger), used by the device between activate and reset; one thread
/// at a time. A usual turn: pop until empty, put_used each, notify, rearm; again if rearm says so.
class queue {
public:
  /// Checks `state` against `size_max` and RAM; guest_fault when it does not fit. `irq` outlives
  /// the queue.
  [[nodiscard]] static outcome<std::unique_ptr<queue>>
  attach(queue_state state, std::uint16_t size_max, std::shared_ptr<const memory::guest_memory> ram,
         interrupt& irq);

  /// Takes the next chain into `out` (its old content is dropped, its storage reused). False when
  /// the driver has nothing more.
  [[nodiscard]] outcome<bool> pop(chain& out);

  /// Gives back the chain popped last as if it had not been popped: for want of room or budget.
  /// Fails with internal for any other chain.
  outcome<void> un_pop(const chain& it);

  /// Completes a chain of this queue; `written` counts the bytes stored by the device only. Not yet
  /// visible interrupt-wise: call notify() after the batch. Fails with internal when the chain is
  /// not in flight or `written` exceeds its writable bytes.
  outcome<void> put_used(const chain& it, std::uint32_t written);

  /// Raises the interrupt if used elements were published that the driver wants to hear of.
  void notify() noexcept;

  /// Asks for a kick at the next chain. True when one is there already: the kick may never come, so
  /// pop again.
  [[nodiscard]] bool rearm() noexcept;

  /// After a restart of the device logic: in-flight chains are popped again, before new ones.
  void requeue_taken();

  /// The guest's memory moved (same addresses, new mapping); guest_fault leaves the queue dead.
  outcome<void> rebind(std::shared_ptr<const memory::guest_memory> ram);

  [[nodiscard]] queue_state state() const;
  [[nodiscard]] std::uint16_t size() const noexcept { return state_.size; }
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }
  /// The lie that killed the queue.
  [[nodiscard]] const std::optional<failure>& dead() const noexcept { return dead_; }

private:
  queue(queue_state state, interrupt& irq) : state_(std::move(state)), irq_(&irq) {}

  // Where a descriptor index points: the ring's own table, or one indirect table.
  struct table {
    gpa address = 0;
    std::size_t entries = 0;
    bool indirect = false;
  };

  outcome<std::optional<std::uint16_t>> next_head();
  outcome<void> walk(std::uint16_t head, chain& out) const;
  outcome<descriptor> load(const table& from, std::uint16_t index) const;
  outcome<table> indirect_table(const descriptor& it) const;
  outcome<void> add(const descriptor& part, chain& out) const;
  tl::unexpected<failure> die(failure why);

  // What pop did last, for un_pop.
  struct last_pop {
    std::uint16_t head = 0;
    bool resumed = false;
  };

  queue_state state_; // Its `taken` is only filled in by state().
  std::shared_ptr<const memory::guest_memory> ram_;
  ring_view ring_;
  interrupt* irq_;
  std::vector<std::uint8_t> attempts_; // By head; 0: not in flight.
  std::size_t in_flight_ = 0;
  std::deque<std::uint16_t> resumed_; // Heads to hand out again.
  std::optional<last_pop> last_;
  std::uint16_t notified_ = 0; // Used index at the last interrupt decision.
  bool has_notified_ = false;  // The first decision is always in favour.
  std::optional<failure> dead_;
};

} // namespace troupe::virtio
