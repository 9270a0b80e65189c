#pragma once

#include <cstddef>
#include <cstdint>

/// Numbers and structures of virtio-blk (VIRTIO 1.2, 5.2). Little endian like the host.
namespace troupe::blk::wire {

/// The unit of every position and capacity, whatever the block size.
inline constexpr std::uint64_t sector = 512;

inline constexpr std::uint64_t feature_size_max = 1ULL << 1;
inline constexpr std::uint64_t feature_seg_max = 1ULL << 2;
inline constexpr std::uint64_t feature_read_only = 1ULL << 5;
inline constexpr std::uint64_t feature_block_size = 1ULL << 6;
inline constexpr std::uint64_t feature_flush = 1ULL << 9;
inline constexpr std::uint64_t feature_topology = 1ULL << 10;
inline constexpr std::uint64_t feature_config_writeback = 1ULL << 11;
inline constexpr std::uint64_t feature_queues = 1ULL << 12;
inline constexpr std::uint64_t feature_discard = 1ULL << 13;
inline constexpr std::uint64_t feature_write_zeroes = 1ULL << 14;

enum class type : std::uint32_t {
  in = 0,
  out = 1,
  flush = 4,
  get_id = 8,
  discard = 11,
  write_zeroes = 13,
};

enum class status : std::uint8_t { ok = 0, io_error = 1, unsupported = 2 };

/// The first readable bytes of each request.
struct header {
  type what = type::in;
  std::uint32_t reserved = 0;
  std::uint64_t sector = 0;
};
static_assert(sizeof(header) == 16);

/// The payload of discard and write_zeroes is a list of these.
struct range {
  std::uint64_t sector = 0;
  std::uint32_t sectors = 0;
  std::uint32_t flags = 0;
};
static_assert(sizeof(range) == 16);

/// Flag of a range: zeroed sectors may be given back to the file system.
inline constexpr std::uint32_t range_unmap = 1;

/// Bytes of a get_id answer; a shorter name is filled up with zeros.
inline constexpr std::size_t id_bytes = 20;

struct config {
  std::uint64_t capacity = 0; // in sectors
  std::uint32_t size_max = 0;
  std::uint32_t seg_max = 0;
  std::uint16_t cylinders = 0;
  std::uint8_t heads = 0;
  std::uint8_t track_sectors = 0;
  std::uint32_t block_size = 0;
  std::uint8_t physical_block_exponent = 0;
  std::uint8_t alignment_offset = 0;
  std::uint16_t min_io_blocks = 0;
  std::uint32_t optimal_io_blocks = 0;
  std::uint8_t writeback = 0;
  std::uint8_t unused0 = 0;
  std::uint16_t queues = 0;
  std::uint32_t max_discard_sectors = 0;
  std::uint32_t max_discard_ranges = 0;
  std::uint32_t discard_alignment = 0; // in sectors
  std::uint32_t max_write_zeroes_sectors = 0;
  std::uint32_t max_write_zeroes_ranges = 0;
  std::uint8_t write_zeroes_may_unmap = 0;
  std::uint8_t unused1[3] = {};
  std::uint32_t unused2 = 0;
};
static_assert(offsetof(config, writeback) == 32 && offsetof(config, max_discard_sectors) == 36);
static_assert(sizeof(config) == 64);

} // namespace troupe::blk::wire
