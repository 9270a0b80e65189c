#include "actors/vcpu/memory/guest_memory.hpp"

#include "actors/vcpu/memory/access_raw.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace troupe::memory {
namespace {

constexpr auto address_max = std::numeric_limits<gpa>::max();

// Regions start and end on guest pages, so that an aligned guest address is an aligned host one.
constexpr byte_count page = kib(4);

outcome<void> check(const std::vector<region>& sorted) {
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto& it = sorted[i];
    if (it.base % page != 0 || it.size % page != 0 || it.fd_offset % page != 0)
      return fail(errc::invalid_argument,
                  "memory region {:#x}: size {:#x} at file offset {:#x} is "
                  "not in whole pages",
                  it.base, it.size, it.fd_offset);
    if (it.size == 0 || it.size > address_max - it.base || it.size > address_max - it.fd_offset)
      return fail(errc::invalid_argument, "memory region {:#x}: size {:#x} at file offset {:#x}",
                  it.base, it.size, it.fd_offset);
    if (i > 0 && sorted[i - 1].base + sorted[i - 1].size > it.base)
      return fail(errc::invalid_argument, "memory region {:#x} overlaps {:#x}", it.base,
                  sorted[i - 1].base);
  }
  return {};
}

failed not_ram(gpa at, byte_count length) {
  return fail(errc::guest_fault, "guest address {:#x}: {} bytes are not all RAM", at, length);
}

} // namespace

outcome<std::shared_ptr<const guest_memory>> guest_memory::map(std::vector<region> regions,
                                                               byte_count alignment) {
  std::ranges::sort(regions, {}, &region::base);
  TRY(check(regions));
  std::vector<window> windows;
  windows.reserve(regions.size());
  for (const auto& it : regions) {
    // From the start of the file: huge-page files accept no other offsets than huge ones.
    auto bytes =
        TRY(mapping::of(it.fd.get(), it.fd_offset + it.size, it.base - it.fd_offset, alignment));
    windows.push_back({it.base, it.size, it.fd_offset, std::move(bytes)});
  }
  return std::shared_ptr<const guest_memory>{new guest_memory{std::move(windows)}};
}

std::span<std::byte> guest_memory::piece(gpa at, byte_count length) const noexcept {
  auto after = std::ranges::upper_bound(windows_, at, {}, &window::base);
  if (after == windows_.begin())
    return {};
  const auto& it = *std::prev(after);
  const auto inside = at - it.base;
  if (inside >= it.size)
    return {};
  return {it.bytes.at(it.offset + inside), std::min(length, it.size - inside)};
}

template <class Visit>
outcome<void> guest_memory::each_piece(gpa at, byte_count length, Visit visit) const {
  if (length > address_max - at)
    return not_ram(at, length);
  for (byte_count done = 0; done < length;) {
    const auto part = piece(at + done, length - done);
    if (part.empty())
      return not_ram(at, length);
    visit(part, done);
    done += part.size();
  }
  return {};
}

outcome<void> guest_memory::slice(gpa at, byte_count length, std::vector<iovec>& out) const {
  return each_piece(at, length, [&](std::span<std::byte> part, byte_count) {
    out.push_back({part.data(), part.size()});
  });
}

outcome<std::span<std::byte>> guest_memory::contiguous(gpa at, byte_count length) const {
  const auto part = piece(at, length);
  if (part.empty() || part.size() != length)
    return not_ram(at, length);
  return part;
}

outcome<void> guest_memory::read(gpa at, std::span<std::byte> into) const {
  return each_piece(at, into.size(), [&](std::span<std::byte> part, std::size_t done) {
    std::memcpy(into.data() + done, part.data(), part.size());
  });
}

outcome<void> guest_memory::write(gpa at, std::span<const std::byte> from) const {
  return each_piece(at, from.size(), [&](std::span<std::byte> part, std::size_t done) {
    std::memcpy(part.data(), from.data() + done, part.size());
  });
}

outcome<std::uint16_t> guest_memory::load_u16(gpa at) const {
  if (at % sizeof(std::uint16_t) != 0)
    return fail(errc::guest_fault, "guest address {:#x}: odd address of a 16-bit value", at);
  const auto bytes = TRY(contiguous(at, sizeof(std::uint16_t)));
  return raw::load_u16(bytes.data(), std::memory_order_acquire);
}

outcome<void> guest_memory::store_u16(gpa at, std::uint16_t value) const {
  if (at % sizeof(std::uint16_t) != 0)
    return fail(errc::guest_fault, "guest address {:#x}: odd address of a 16-bit value", at);
  const auto bytes = TRY(contiguous(at, sizeof(std::uint16_t)));
  raw::store_u16(bytes.data(), value, std::memory_order_release);
  return {};
}

std::vector<extent> guest_memory::extents() const {
  std::vector<extent> all;
  all.reserve(windows_.size());
  for (const auto& it : windows_)
    all.push_back({it.base, it.size});
  return all;
}

byte_count guest_memory::size() const noexcept {
  byte_count sum = 0;
  for (const auto& it : windows_)
    sum += it.size;
  return sum;
}

} // namespace troupe::memory
