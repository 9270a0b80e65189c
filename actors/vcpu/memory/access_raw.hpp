#pragma once

#include <sys/uio.h>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

/// Touching bytes that a guest may change at any moment. Callers have checked the bounds; these
/// functions only make sure that each byte is fetched once and that ring indices are whole.
namespace troupe::memory::raw {

static_assert(std::endian::native == std::endian::little, "virtio 1.x is little-endian");

/// One fetch of a trivially copyable value: what is validated afterwards is what was read, even if
/// the guest rewrites its memory meanwhile.
template <class T>
[[nodiscard]] T copy_once(const std::byte* from) noexcept {
  T copy;
  std::memcpy(&copy, from, sizeof(T));
  asm volatile("" : "+m"(copy)); // The compiler may not go back to `from` for a second look.
  return copy;
}

/// A 16-bit load or store that is never torn. `at` is 2-byte aligned.
[[nodiscard]] inline std::uint16_t load_u16(std::byte* at, std::memory_order order) noexcept {
  return std::atomic_ref{*reinterpret_cast<std::uint16_t*>(at)}.load(order);
}
inline void store_u16(std::byte* at, std::uint16_t value, std::memory_order order) noexcept {
  std::atomic_ref{*reinterpret_cast<std::uint16_t*>(at)}.store(value, order);
}

/// Copies from a list of buffers, starting `offset` bytes into it. Returns the bytes copied, fewer
/// than asked when the list ends.
std::size_t gather(std::span<const iovec> from, std::size_t offset,
                   std::span<std::byte> into) noexcept;

/// Copies into a list of buffers, starting `offset` bytes into it. Returns the bytes copied.
std::size_t scatter(std::span<const iovec> into, std::size_t offset,
                    std::span<const std::byte> from) noexcept;

/// The part of a list of buffers from `offset` on, at most `length` bytes of it.
[[nodiscard]] std::vector<iovec> window(std::span<const iovec> of, std::size_t offset,
                                        std::size_t length);

} // namespace troupe::memory::raw
