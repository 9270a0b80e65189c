#include "actors/vcpu/memory/access_raw.hpp"

#include <algorithm>

namespace troupe::memory::raw {
namespace {

// Calls `copy(guest bytes, bytes done so far, count)` for each stretch of `list` after `offset`.
template <class Copy>
std::size_t walk(std::span<const iovec> list, std::size_t offset, std::size_t wanted, Copy copy) {
  std::size_t done = 0;
  for (const auto& part : list) {
    if (done == wanted)
      break;
    if (offset >= part.iov_len) {
      offset -= part.iov_len;
      continue;
    }
    const auto count = std::min(part.iov_len - offset, wanted - done);
    copy(static_cast<std::byte*>(part.iov_base) + offset, done, count);
    done += count;
    offset = 0;
  }
  return done;
}

} // namespace

std::size_t gather(std::span<const iovec> from, std::size_t offset,
                   std::span<std::byte> into) noexcept {
  return walk(from, offset, into.size(), [&](std::byte* guest, std::size_t at, std::size_t count) {
    std::memcpy(into.data() + at, guest, count);
  });
}

std::size_t scatter(std::span<const iovec> into, std::size_t offset,
                    std::span<const std::byte> from) noexcept {
  return walk(into, offset, from.size(), [&](std::byte* guest, std::size_t at, std::size_t count) {
    std::memcpy(guest, from.data() + at, count);
  });
}

std::vector<iovec> window(std::span<const iovec> of, std::size_t offset, std::size_t length) {
  std::vector<iovec> parts;
  parts.reserve(of.size());
  walk(of, offset, length, [&](std::byte* guest, std::size_t, std::size_t count) {
    parts.push_back({guest, count});
  });
  return parts;
}

} // namespace troupe::memory::raw
