#pragma once

#include <atomic>
#include <cstdint>

namespace troupe::vcpu {

/// What a processor did so far. Written by its thread alone, read by anyone at any time; each is
/// exact, together they are no snapshot.
struct counters {
  using count = std::atomic<std::uint64_t>;

  count exits = 0; ///< Returns of KVM_RUN, of every kind.
  count pio_in = 0;
  count pio_out = 0;
  count mmio_read = 0;
  count mmio_write = 0;
  count hlt = 0; ///< Only without an interrupt controller in the kernel, else halts stay inside.
  count irq_window = 0;
  count intr = 0; ///< Kicks and signals.
  count pauses = 0;

  /// One writer, so no locked instruction is needed.
  static void add(count& which) noexcept {
    which.store(which.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
};

} // namespace troupe::vcpu
