#pragma once

#include "actors/devices/bus/target.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace troupe::bus {

/// What an address nobody answers for reads as.
enum class space : std::uint8_t {
  mmio, ///< Zeros.
  pio,  ///< All ones, as an ISA bus without a card.
};

/// Targets of one address space; the caps keep a hot-plug loop from growing the map at will.
inline constexpr std::size_t targets_max = 1024;

/// Running sums; read by anyone.
struct access_counters {
  std::atomic<std::uint64_t> reads = 0;
  std::atomic<std::uint64_t> writes = 0;
  /// Nobody's address.
  std::atomic<std::uint64_t> unknown = 0;
  /// A length that is not 1, 2, 4 or 8 bytes, or across the end of a target.
  std::atomic<std::uint64_t> refused = 0;
};

/// Address to target, for one of a machine's two address spaces.
///
/// Thread rule: read and write from any vCPU thread, without a lock; add and remove from any other
/// thread, one after the other. Changes make a new map and wait until no access uses the old one,
/// so neither may be called from within a target.
class address_space {
public:
  explicit address_space(space kind);
  address_space(const address_space&) = delete;
  address_space& operator=(const address_space&) = delete;

  /// already_exists where the range overlaps another, invalid_argument where it is empty or wraps,
  /// resource_exhausted beyond `targets_max`.
  outcome<void> add(std::uint64_t base, std::uint64_t size, std::shared_ptr<target> it);
  /// Takes away the target whose range starts at `base`: on return no access is inside it.
  /// not_found otherwise.
  outcome<void> remove(std::uint64_t base);

  /// An access of a guest. What nobody answers for, reads as `space` says and is written to nobody.
  void read(std::uint64_t at, std::span<std::byte> into) noexcept;
  void write(std::uint64_t at, std::span<const std::byte> from) noexcept;

  [[nodiscard]] const access_counters& counters() const noexcept { return counters_; }

private:
  struct entry {
    std::uint64_t base = 0;
    std::uint64_t size = 0;
    std::shared_ptr<target> it;
  };
  using map = std::vector<entry>; // Sorted by base, disjoint.

  // One access; while it lives, the map it sees does.
  class visit;

  // Null, and counted, where nobody answers for such an access.
  [[nodiscard]] const entry* find(const map& in, std::uint64_t at, std::size_t length) noexcept;
  void publish(map next);

  std::byte nobody_;
  access_counters counters_;

  std::mutex change_; // One change at a time; guards current_.
  std::unique_ptr<const map> current_ = std::make_unique<const map>();
  std::atomic<const map*> map_ = current_.get();
  // Accesses are counted by the parity of the epoch they began in; a change begins a new epoch and
  // waits for the other counter to reach zero.
  std::atomic<std::uint32_t> epoch_ = 0;
  struct alignas(64) visitors {
    std::atomic<std::uint32_t> count = 0;
  };
  std::array<visitors, 2> visitors_;
};

} // namespace troupe::bus
