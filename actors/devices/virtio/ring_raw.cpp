#include "actors/devices/virtio/ring_raw.hpp"

#include "actors/vcpu/memory/access_raw.hpp"

#include <cstring>

namespace troupe::virtio {
namespace {

using memory::raw::load_u16;
using memory::raw::store_u16;

// Both rings start with flags and index, 16 bits each; the entries follow.
constexpr std::size_t index_offset = 2;
constexpr std::size_t entries_offset = 4;

struct used_element {
  std::uint32_t head;
  std::uint32_t written;
};

} // namespace

descriptor load_descriptor(std::span<const std::byte> table, std::size_t index) noexcept {
  static_assert(sizeof(descriptor) == 16);
  return memory::raw::copy_once<descriptor>(table.data() + index * sizeof(descriptor));
}

std::uint16_t ring_view::available_index() const noexcept {
  return load_u16(available_ + index_offset, std::memory_order_acquire);
}

std::uint16_t ring_view::available_entry(std::uint16_t index) const noexcept {
  return load_u16(available_ + entries_offset + std::size_t{2} * slot(index),
                  std::memory_order_relaxed);
}

std::uint16_t ring_view::available_flags() const noexcept {
  return load_u16(available_, std::memory_order_relaxed);
}

std::uint16_t ring_view::used_event() const noexcept {
  return load_u16(available_ + entries_offset + std::size_t{2} * size_, std::memory_order_relaxed);
}

void ring_view::put_used(std::uint16_t index, std::uint32_t head,
                         std::uint32_t written) const noexcept {
  const used_element element{head, written};
  std::memcpy(used_ + entries_offset + sizeof(element) * slot(index), &element, sizeof(element));
}

void ring_view::set_used_index(std::uint16_t index) const noexcept {
  store_u16(used_ + index_offset, index, std::memory_order_release);
}

void ring_view::set_available_event(std::uint16_t index) const noexcept {
  store_u16(used_ + entries_offset + sizeof(used_element) * size_, index,
            std::memory_order_relaxed);
}

} // namespace troupe::virtio
