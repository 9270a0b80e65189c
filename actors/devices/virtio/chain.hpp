#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace troupe::virtio {

/// A request that keeps breaking the device logic is handed out this many times; after that the
/// device answers it with an error and does not look at it again.
inline constexpr std::uint8_t max_attempts = 2;

/// One request of the driver: host buffers over guest RAM, all bounds checked. The part that the
/// device reads comes first, the part that it writes last. The guest can change the bytes at any
/// time: copy what you check. Valid while the device holds the queue's memory.
struct chain {
  /// First descriptor; names the chain while it is in flight.
  std::uint16_t head = 0;
  /// How often this chain was popped, 1 at first. Above `max_attempts` it is poison.
  std::uint8_t attempts = 1;
  /// All buffers, none empty; the first `readable_segments` are the readable ones.
  std::vector<iovec> segments;
  std::size_t readable_segments = 0;
  /// Sums of the buffers; together they fit 32 bits.
  std::size_t readable_bytes = 0;
  std::size_t writable_bytes = 0;

  [[nodiscard]] bool poisoned() const noexcept { return attempts > max_attempts; }
  [[nodiscard]] std::span<const iovec> readable() const noexcept {
    return std::span{segments}.first(readable_segments);
  }
  [[nodiscard]] std::span<const iovec> writable() const noexcept {
    return std::span{segments}.subspan(readable_segments);
  }

  /// Copies readable bytes from `offset` on; returns how many there were, up to `into`'s size.
  std::size_t read(std::size_t offset, std::span<std::byte> into) const noexcept;
  /// Copies into the writable part from `offset` on; returns how many fitted.
  std::size_t write(std::size_t offset, std::span<const std::byte> from) const noexcept;
};

} // namespace troupe::virtio
