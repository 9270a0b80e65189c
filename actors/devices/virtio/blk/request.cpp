#include "actors/devices/virtio/blk/request.hpp"

#include "actors/vcpu/memory/access_raw.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

namespace troupe::blk {
namespace {

using wire::status;

constexpr std::size_t header_bytes = sizeof(wire::header);
constexpr std::size_t status_bytes = 1;

verdict refuse(status why) {
  return {.execute = false, .status = why};
}

// Whether sectors [first, first + count) are on the disk and whole blocks.
bool on_disk(std::uint64_t first, std::uint64_t count, const geometry& shape) {
  const auto capacity = shape.size / wire::sector;
  const auto block = shape.block_size / wire::sector;
  return first <= capacity && count <= capacity - first && first % block == 0 && count % block == 0;
}

verdict transfer(const wire::header& header, std::span<const iovec> data, std::size_t offset,
                 std::size_t bytes, const rules& by, job& work) {
  if (bytes > request_bytes_max || bytes % wire::sector != 0 ||
      !on_disk(header.sector, bytes / wire::sector, by.shape))
    return refuse(status::io_error);
  work.at = header.sector * wire::sector;
  work.buffers = memory::raw::window(data, offset, bytes);
  return {.execute = true};
}

verdict read(const wire::header& header, const virtio::chain& request, const rules& by, job& work) {
  const auto bytes = request.writable_bytes - status_bytes;
  auto it = transfer(header, request.writable(), 0, bytes, by, work);
  work.what = job::operation::read;
  it.data_bytes = it.execute ? static_cast<std::uint32_t>(bytes) : 0;
  return it;
}

verdict write(const wire::header& header, const virtio::chain& request, const rules& by,
              job& work) {
  if (by.shape.read_only)
    return refuse(status::io_error);
  work.what = job::operation::write;
  work.durable = !by.writeback;
  return transfer(header, request.readable(), header_bytes, request.readable_bytes - header_bytes,
                  by, work);
}

verdict name(const virtio::chain& request, const rules& by) {
  std::array<std::byte, wire::id_bytes> id{};
  const auto text = std::as_bytes(std::span{by.serial});
  std::ranges::copy(text.first(std::min(text.size(), id.size())), id.begin());
  const auto bytes = std::min(id.size(), request.writable_bytes - status_bytes);
  const auto written = request.write(0, std::span{id}.first(bytes));
  return {.execute = false, .data_bytes = static_cast<std::uint32_t>(written)};
}

// What discard and write_zeroes differ in.
struct limits {
  std::size_t ranges;
  std::uint32_t sectors;
  std::uint32_t flags;
};

verdict add_range(const wire::range& it, const limits& allowed, const rules& by, job& work) {
  if ((it.flags & ~allowed.flags) != 0)
    return refuse(status::unsupported);
  if (it.sectors == 0 || it.sectors > allowed.sectors || !on_disk(it.sector, it.sectors, by.shape))
    return refuse(status::io_error);
  work.unmap = (it.flags & wire::range_unmap) != 0;
  work.ranges[work.range_count++] = {it.sector * wire::sector, it.sectors * wire::sector};
  return {.execute = true};
}

verdict ranges(const virtio::chain& request, const limits& allowed, const rules& by, job& work) {
  if (by.shape.read_only)
    return refuse(status::io_error);
  const auto bytes = request.readable_bytes - header_bytes;
  const auto count = bytes / sizeof(wire::range);
  if (bytes % sizeof(wire::range) != 0 || count == 0 || count > allowed.ranges)
    return refuse(status::io_error);
  std::array<wire::range, ranges_max> asked{};
  const auto some = std::span{asked}.first(count);
  (void)request.read(header_bytes, std::as_writable_bytes(some));
  work.durable = !by.writeback;
  for (const auto& it : some)
    if (const auto added = add_range(it, allowed, by, work); !added.execute)
      return added;
  return {.execute = true};
}

verdict discard(const virtio::chain& request, const rules& by, job& work) {
  if ((by.features & wire::feature_discard) == 0)
    return refuse(status::unsupported);
  work.what = job::operation::discard;
  return ranges(request, {ranges_max, discard_sectors_max, 0}, by, work);
}

verdict write_zeroes(const virtio::chain& request, const rules& by, job& work) {
  if ((by.features & wire::feature_write_zeroes) == 0)
    return refuse(status::unsupported);
  work.what = job::operation::zero;
  return ranges(request, {zero_ranges_max, zero_sectors_max, wire::range_unmap}, by, work);
}

void clear(job& it) noexcept {
  it.what = job::operation::flush;
  it.at = 0;
  it.buffers.clear();
  it.range_count = 0;
  it.unmap = it.durable = false;
  it.injected = it.error = 0;
}

} // namespace

verdict judge(const virtio::chain& request, const rules& by, job& work) {
  clear(work);
  wire::header header;
  const auto got = request.read(0, std::as_writable_bytes(std::span{&header, 1}));
  if (got != header_bytes || request.writable_bytes < status_bytes)
    return refuse(status::io_error);
  switch (header.what) {
  case wire::type::in:
    return read(header, request, by, work);
  case wire::type::out:
    return write(header, request, by, work);
  case wire::type::flush:
    return {.execute = true};
  case wire::type::get_id:
    return name(request, by);
  case wire::type::discard:
    return discard(request, by, work);
  case wire::type::write_zeroes:
    return write_zeroes(request, by, work);
  }
  return refuse(status::unsupported);
}

wire::status status_of(io_error error) noexcept {
  if (error == 0)
    return status::ok;
  return error == EOPNOTSUPP ? status::unsupported : status::io_error;
}

} // namespace troupe::blk
