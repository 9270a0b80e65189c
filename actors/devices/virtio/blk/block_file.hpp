#pragma once

#include "messages/vocabulary/units.hpp"

#include <sys/uio.h>

#include <cstdint>
#include <span>

namespace troupe::blk {

/// An errno of the host; 0 when the call did all that was asked.
using io_error = int;

/// What a disk's bytes are in.
struct geometry {
  /// A multiple of block_size.
  byte_count size = 0;
  /// The smallest unit that can be read and written, a power of two from 512 on.
  std::uint32_t block_size = 512;
  /// What the medium writes at once; at least block_size, a power of two.
  std::uint32_t physical_block = 512;
  bool read_only = false;
  /// Whether discard and zero can be expected to work.
  bool discards = false;
};

/// The bytes behind a disk. Positions and lengths are within the size, checked by the caller, and
/// multiples of 512. A call does everything or fails; what a failed write changed is undefined.
/// Any thread, several at a time; calls block as long as the host's file does and never throw.
class block_file {
public:
  virtual ~block_file() = default;

  [[nodiscard]] virtual const geometry& shape() const noexcept = 0;

  [[nodiscard]] virtual io_error read(byte_count at, std::span<const iovec> into) noexcept = 0;
  /// `durable`: as if a flush followed at once.
  [[nodiscard]] virtual io_error write(byte_count at, std::span<const iovec> from,
                                       bool durable) noexcept = 0;
  /// What was written before is safe from a power cut.
  [[nodiscard]] virtual io_error flush() noexcept = 0;
  /// The bytes are no longer needed; what is read there afterwards is undefined.
  [[nodiscard]] virtual io_error discard(byte_count at, byte_count length) noexcept = 0;
  /// Zeros; `unmap` allows to give the space back.
  [[nodiscard]] virtual io_error zero(byte_count at, byte_count length, bool unmap) noexcept = 0;

  /// A descriptor on which these buffers may be read or written as they are, by an io_uring; -1
  /// where only the calls above will do.
  [[nodiscard]] virtual int direct(std::span<const iovec> buffers) const noexcept = 0;
};

} // namespace troupe::blk
