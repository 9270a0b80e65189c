// A guest that writes any header and any ranges: two bytes say what the disk and the buffers are
// like, the rest is what the device reads. Whatever is let through stays on the disk, within its
// caps and within the guest's buffers.
#include "actors/devices/virtio/blk/request.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

using namespace troupe;
using namespace troupe::blk;

namespace {

constexpr std::size_t prefix = 2;
constexpr std::size_t readable_max = 4096;
std::array<std::byte, 8192> answer;

void require(bool holds) {
  if (!holds)
    std::abort();
}

rules rules_of(std::uint8_t bits) {
  rules it;
  it.shape.size = (bits & 1) != 0 ? mib(1) : gib(2);
  it.shape.block_size = (bits & 2) != 0 ? 512 : 4096;
  it.shape.read_only = (bits & 4) != 0;
  it.features = (bits & 8) != 0 ? 0 : ~0ULL;
  it.writeback = (bits & 16) != 0;
  it.serial = "fuzz";
  return it;
}

// Readable bytes in two buffers, cut anywhere, and up to two writable ones.
virtio::chain chain_of(std::vector<std::uint8_t>& bytes, std::uint8_t bits) {
  virtio::chain it;
  const auto cut = std::min<std::size_t>(bits % 20, bytes.size());
  const auto add = [&it](void* at, std::size_t size) {
    if (size > 0)
      it.segments.push_back({at, size});
  };
  add(bytes.data(), cut);
  add(bytes.data() + cut, bytes.size() - cut);
  it.readable_segments = it.segments.size();
  it.readable_bytes = bytes.size();
  constexpr std::array<std::size_t, 8> sizes{0, 1, 2, 20, 21, 513, 4097, 8192};
  it.writable_bytes = sizes[bits / 32];
  const auto last = std::min<std::size_t>(1, it.writable_bytes);
  add(answer.data(), it.writable_bytes - last);
  add(answer.data() + it.writable_bytes - last, last);
  return it;
}

void check_ranges(const job& work, const rules& by) {
  require(work.range_count > 0 && work.range_count <= ranges_max);
  const auto most = work.what == job::operation::zero ? zero_sectors_max : discard_sectors_max;
  for (const auto& it : std::span{work.ranges}.first(work.range_count)) {
    require(it.length > 0 && it.length <= std::uint64_t{most} * wire::sector);
    require(it.at <= by.shape.size && it.length <= by.shape.size - it.at);
    require((it.at | it.length) % by.shape.block_size == 0);
  }
}

void check_buffers(const job& work, const virtio::chain& request, const rules& by) {
  std::size_t sum = 0;
  for (const auto& part : work.buffers)
    sum += part.iov_len;
  require(work.at <= by.shape.size && sum <= by.shape.size - work.at);
  require((work.at | sum) % by.shape.block_size == 0 && sum <= request_bytes_max);
  require(sum <= std::max(request.readable_bytes, request.writable_bytes));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < prefix || size > prefix + readable_max)
    return 0;
  std::vector<std::uint8_t> bytes(data + prefix, data + size);
  const auto by = rules_of(data[0]);
  const auto request = chain_of(bytes, data[1]);
  static job work; // reused, as a slot's
  const auto said = judge(request, by, work);
  require(said.data_bytes + std::size_t{1} <= std::max<std::size_t>(request.writable_bytes, 1));
  if (!said.execute)
    return 0;
  require(request.writable_bytes > 0);
  const auto changes = work.what != job::operation::read && work.what != job::operation::flush;
  require(!changes || !by.shape.read_only);
  if (work.what == job::operation::discard || work.what == job::operation::zero)
    check_ranges(work, by);
  else
    check_buffers(work, request, by);
  return 0;
}
