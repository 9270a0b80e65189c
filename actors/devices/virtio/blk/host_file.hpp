#pragma once

#include "actors/devices/virtio/blk/block_file.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <memory>
#include <string>

namespace troupe::blk {

/// Host memory of one call whose buffers are not aligned as O_DIRECT wants; larger calls go through
/// it in pieces.
inline constexpr std::size_t bounce_bytes = 256U << 10;

/// A raw image or a block device of the host. The content is never looked at for a format: what a
/// guest writes to its first sector decides nothing.
class host_file final : public block_file {
public:
  /// Opens `path` and locks it, as long as it is open, against other machines: for one that writes,
  /// or for any number that only read. failed_precondition: another has it; invalid_argument: there
  /// is none, and as adopt.
  [[nodiscard]] static outcome<std::unique_ptr<host_file>> open(const std::string& path,
                                                                bool read_only);

  /// Takes an open descriptor; O_DIRECT in its flags is kept to, and one that cannot write makes
  /// the disk read-only, as `read_only` does. invalid_argument when it is neither a regular file
  /// nor a block device, or smaller than a block.
  [[nodiscard]] static outcome<std::unique_ptr<host_file>> adopt(unique_fd fd, bool read_only);

  [[nodiscard]] const geometry& shape() const noexcept override { return shape_; }
  [[nodiscard]] io_error read(byte_count at, std::span<const iovec> into) noexcept override;
  [[nodiscard]] io_error write(byte_count at, std::span<const iovec> from,
                               bool durable) noexcept override;
  [[nodiscard]] io_error flush() noexcept override;
  [[nodiscard]] io_error discard(byte_count at, byte_count length) noexcept override;
  [[nodiscard]] io_error zero(byte_count at, byte_count length, bool unmap) noexcept override;
  [[nodiscard]] int direct(std::span<const iovec> buffers) const noexcept override;

private:
  host_file(unique_fd fd, geometry shape, bool is_device, std::uint32_t alignment)
      : fd_(std::move(fd)), shape_(shape), is_device_(is_device), alignment_(alignment) {}

  [[nodiscard]] bool aligned(std::span<const iovec> buffers) const noexcept;
  [[nodiscard]] io_error write_zeros(byte_count at, byte_count length) noexcept;

  unique_fd fd_;
  geometry shape_;
  bool is_device_;
  std::uint32_t alignment_; // of buffers; 1 without O_DIRECT
};

} // namespace troupe::blk
