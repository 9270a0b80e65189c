#pragma once

#include "actors/vcpu/memory/mapping_raw.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace troupe::memory {

/// A stretch of guest RAM and the file that backs it.
struct region {
  /// First guest-physical address. Like size and offset a multiple of 4 KiB.
  gpa base = 0;
  /// Bytes; not zero.
  byte_count size = 0;
  /// The shared file (a memfd); only needed while mapping.
  unique_fd fd;
  /// Where in the file the region starts.
  byte_count fd_offset = 0;
};

/// Where a region lies in the guest.
struct extent {
  gpa base = 0;
  byte_count size = 0;
  friend bool operator==(const extent&, const extent&) = default;
};

/// A guest's RAM as the host sees it. The only way to guest bytes: every accessor checks the whole
/// range against the regions first, so no address a guest writes down can reach anything else.
///
/// Immutable once mapped. Any thread may use it; the guest writes to the same bytes at any time, so
/// read a value once and check the copy. Addresses outside RAM fail with guest_fault.
class guest_memory {
public:
  /// Maps every region, congruent to its guest address modulo `alignment`: huge_page for huge
  /// pages, which KVM maps only where guest and host address agree that far. Empty, overflowing or
  /// overlapping regions and files that are too short fail with invalid_argument, a refused mmap
  /// with host_io.
  [[nodiscard]] static outcome<std::shared_ptr<const guest_memory>>
  map(std::vector<region> regions, byte_count alignment = small_page);

  /// Copies out of RAM; the range may cross from one region into an adjacent one. On failure a part
  /// may have been copied; the same holds for write.
  [[nodiscard]] outcome<void> read(gpa at, std::span<std::byte> into) const;

  /// Copies into RAM.
  [[nodiscard]] outcome<void> write(gpa at, std::span<const std::byte> from) const;

  /// A whole 16-bit value, acquire or release ordered; `at` must be even.
  [[nodiscard]] outcome<std::uint16_t> load_u16(gpa at) const;
  [[nodiscard]] outcome<void> store_u16(gpa at, std::uint16_t value) const;

  /// Appends the host buffers behind [at, at + length) to `out`. They live as long as this object.
  /// On failure `out` may hold a part of them.
  [[nodiscard]] outcome<void> slice(gpa at, byte_count length, std::vector<iovec>& out) const;

  /// The range as one piece, for structures that live in one region, such as rings.
  [[nodiscard]] outcome<std::span<std::byte>> contiguous(gpa at, byte_count length) const;

  /// What is mapped, lowest first.
  [[nodiscard]] std::vector<extent> extents() const;

  /// All that is mapped in bytes.
  [[nodiscard]] byte_count size() const noexcept;

private:
  struct window {
    gpa base = 0;
    byte_count size = 0;
    byte_count offset = 0;
    mapping bytes;
  };

  explicit guest_memory(std::vector<window> windows) : windows_(std::move(windows)) {}

  // The longest piece of [at, at + length) in one region; empty when `at` is not RAM.
  [[nodiscard]] std::span<std::byte> piece(gpa at, byte_count length) const noexcept;

  // Calls `visit(piece, bytes before it)` over the range, in order.
  template <class Visit>
  [[nodiscard]] outcome<void> each_piece(gpa at, byte_count length, Visit visit) const;

  std::vector<window> windows_; // Sorted by base, disjoint.
};

} // namespace troupe::memory
