#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe::virtio {

/// A descriptor as the driver writes it (VIRTIO 1.2, 2.7.5), already copied out of guest RAM.
struct descriptor {
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  std::uint16_t flags = 0;
  std::uint16_t next = 0;
};

inline constexpr std::uint16_t descriptor_next = 1;
inline constexpr std::uint16_t descriptor_write = 2;
inline constexpr std::uint16_t descriptor_indirect = 4;

/// Bytes of the three parts of a split ring of `size` entries, event index fields included.
[[nodiscard]] constexpr std::size_t descriptors_bytes(std::size_t size) {
  return 16 * size;
}
[[nodiscard]] constexpr std::size_t available_bytes(std::size_t size) {
  return 6 + 2 * size;
}
[[nodiscard]] constexpr std::size_t used_bytes(std::size_t size) {
  return 6 + 8 * size;
}

/// The `index`-th descriptor of a table of at least index + 1 entries, fetched once.
[[nodiscard]] descriptor load_descriptor(std::span<const std::byte> table,
                                         std::size_t index) noexcept;

/// A split ring in guest RAM: loads and stores with the order the specification wants, no rules.
/// Slots are taken modulo the size, a power of two; the parts are as large as the functions above
/// say and aligned to 16, 2 and 4 bytes. Copies are views.
class ring_view {
public:
  ring_view() noexcept = default;
  ring_view(std::span<std::byte> descriptors, std::span<std::byte> available,
            std::span<std::byte> used, std::uint16_t size) noexcept
      : descriptors_(descriptors), available_(available.data()), used_(used.data()), size_(size) {}

  [[nodiscard]] std::span<const std::byte> descriptors() const noexcept { return descriptors_; }

  /// How many chains the driver has made available so far; acquire: what it wrote before is seen.
  [[nodiscard]] std::uint16_t available_index() const noexcept;
  [[nodiscard]] std::uint16_t available_entry(std::uint16_t slot) const noexcept;
  [[nodiscard]] std::uint16_t available_flags() const noexcept;
  /// The used index at which the driver wants its interrupt.
  [[nodiscard]] std::uint16_t used_event() const noexcept;

  void put_used(std::uint16_t slot, std::uint32_t head, std::uint32_t written) const noexcept;
  /// Publishes the used elements before `index`; release ordered.
  void set_used_index(std::uint16_t index) const noexcept;
  /// The available index at which the device wants its kick.
  void set_available_event(std::uint16_t index) const noexcept;

private:
  [[nodiscard]] std::uint16_t slot(std::uint16_t index) const noexcept {
    return static_cast<std::uint16_t>(index & (size_ - 1));
  }

  std::span<const std::byte> descriptors_;
  std::byte* available_ = nullptr;
  std::byte* used_ = nullptr;
  std::uint16_t size_ = 0;
};

} // namespace troupe::virtio
