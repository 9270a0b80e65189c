#pragma once

#include "actors/vcpu/memory/guest_memory.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace troupe::boot {

/// A kernel or initrd: a file that is read by position, never mapped, so that whoever shortens it
/// meanwhile causes a failure and no SIGBUS. Borrows the descriptor.
class image_file {
public:
  /// `what` names it in failures. invalid_argument: no regular file, empty, or over `cap` bytes;
  /// host_io: it cannot be looked at.
  [[nodiscard]] static outcome<image_file> of(int fd, std::string_view what, byte_count cap);

  [[nodiscard]] byte_count size() const noexcept { return size_; }
  /// Fills `into` from `offset` on. invalid_argument: the file ends before; host_io: read failed.
  [[nodiscard]] outcome<void> read(byte_count offset, std::span<std::byte> into) const;
  /// The same straight into guest RAM.
  [[nodiscard]] outcome<void> copy(byte_count offset, byte_count length,
                                   const memory::guest_memory& ram, gpa to) const;
  /// A failure that names the file.
  [[nodiscard]] failed wrong(std::string_view why) const;

private:
  image_file(int fd, std::string_view what, byte_count size) : fd_(fd), what_(what), size_(size) {}

  int fd_ = -1;
  std::string what_;
  byte_count size_ = 0;
};

} // namespace troupe::boot
