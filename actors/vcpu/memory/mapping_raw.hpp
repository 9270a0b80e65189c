#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstddef>
#include <utility>

namespace troupe::memory {

/// The smallest page size of x86_64 and aarch64, and the one above it.
inline constexpr byte_count small_page = kib(4);
inline constexpr byte_count huge_page = mib(2);

/// Sole owner of a shared, writable mapping of a file's first bytes.
class mapping {
public:
  /// Maps [0, length) of `fd`, in whole pages of the file, at a host address that equals `like`
  /// modulo `alignment`, or the page size of the file if that is more. Fails with invalid_argument
  /// when the file is shorter: touching what lies behind its end would raise SIGBUS.
  /// @pre `like` is in pages of the file; `alignment` is small_page or huge_page.
  [[nodiscard]] static outcome<mapping> of(int fd, byte_count length, byte_count like,
                                           byte_count alignment);

  mapping(mapping&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)), length_(std::exchange(other.length_, 0)) {}
  mapping& operator=(mapping&& other) noexcept {
    std::swap(start_, other.start_);
    std::swap(length_, other.length_);
    return *this;
  }
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;
  ~mapping();

  /// The host address `offset` bytes into the mapping; `offset` is at most its length.
  [[nodiscard]] std::byte* at(byte_count offset) const noexcept { return start_ + offset; }

private:
  mapping(std::byte* start, std::size_t length) noexcept : start_(start), length_(length) {}

  std::byte* start_ = nullptr;
  std::size_t length_ = 0;
};

} // namespace troupe::memory
