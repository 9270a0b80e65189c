#pragma once

#include "actors/devices/virtio/blk/engine.hpp"
#include "actors/devices/virtio/blk/wire.hpp"
#include "actors/devices/virtio/chain.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <string_view>

/// Reading a request of the guest. Rules only.
namespace troupe::blk {

/// Buffers of a request; with header and status they fit a ring of 128 entries, which is what QEMU
/// sets up.
inline constexpr std::uint32_t segments_max = 126;
inline constexpr std::uint32_t segment_bytes_max = 64U << 10;
/// Bytes of a request, whatever its buffers: descriptors may name the same page again and again,
/// and one call of 4 GiB would keep a thread, and a pause of the machine, for as long.
inline constexpr std::size_t request_bytes_max = 16U << 20;
static_assert(std::size_t{segments_max} * segment_bytes_max <= request_bytes_max);

/// Sectors of one range. A discard is quick; zeros may have to be written out.
inline constexpr std::uint32_t discard_sectors_max = gib(1) / wire::sector;
inline constexpr std::uint32_t zero_sectors_max = mib(64) / wire::sector;
inline constexpr std::size_t zero_ranges_max = 1;

/// What requests of one driver are judged by.
struct rules {
  geometry shape;
  /// Acknowledged by the driver.
  std::uint64_t features = 0;
  /// Whether writes may stay in the host's cache until a flush.
  bool writeback = false;
  std::string_view serial;
};

struct verdict {
  /// The job is to be done and its result to be told; otherwise `status` is the answer.
  bool execute = false;
  wire::status status = wire::status::ok;
  /// Bytes that a success leaves in the guest's buffers, without the status.
  std::uint32_t data_bytes = 0;
};

/// Judges a request and describes its work in `work`, whose old content is dropped. Answers what
/// needs no file (its name) at once. Header and ranges are fetched from the guest once.
[[nodiscard]] verdict judge(const virtio::chain& request, const rules& by, job& work);

/// The status byte of a finished job.
[[nodiscard]] wire::status status_of(io_error error) noexcept;

} // namespace troupe::blk
