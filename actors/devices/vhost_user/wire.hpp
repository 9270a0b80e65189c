#pragma once

#include <cstddef>
#include <cstdint>

/// Numbers and structures of the vhost-user protocol (QEMU, docs/interop/vhost-user.rst). Little
/// endian like the host; every structure is free of padding.
namespace troupe::vhost_user::wire {

enum class request : std::uint32_t {
  get_features = 1,
  set_features = 2,
  set_owner = 3,
  reset_owner = 4,
  set_mem_table = 5,
  set_vring_num = 8,
  set_vring_addr = 9,
  set_vring_base = 10,
  get_vring_base = 11,
  set_vring_kick = 12,
  set_vring_call = 13,
  set_vring_err = 14,
  get_protocol_features = 15,
  set_protocol_features = 16,
  get_queue_num = 17,
  set_vring_enable = 18,
  get_config = 24,
  set_config = 25,
  reset_device = 34,
};

struct header {
  std::uint32_t request = 0;
  std::uint32_t flags = 0;
  /// Bytes of payload that follow.
  std::uint32_t size = 0;
};
static_assert(sizeof(header) == 12);

inline constexpr std::uint32_t version_mask = 0x3;
inline constexpr std::uint32_t version = 0x1;
inline constexpr std::uint32_t flag_reply = 0x4;
inline constexpr std::uint32_t flag_need_reply = 0x8;

/// Feature bit: the protocol has features of its own, and rings start disabled.
inline constexpr std::uint64_t feature_protocol = 1ULL << 30;

inline constexpr std::uint64_t protocol_mq = 1ULL << 0;
inline constexpr std::uint64_t protocol_reply_ack = 1ULL << 3;
inline constexpr std::uint64_t protocol_config = 1ULL << 9;
inline constexpr std::uint64_t protocol_reset_device = 1ULL << 13;

struct vring_state {
  std::uint32_t index = 0;
  std::uint32_t value = 0;
};
static_assert(sizeof(vring_state) == 8);

/// Addresses are the front-end's user addresses, to be translated through the memory table.
struct vring_address {
  std::uint32_t index = 0;
  std::uint32_t flags = 0;
  std::uint64_t descriptors = 0;
  std::uint64_t used = 0;
  std::uint64_t available = 0;
  std::uint64_t log = 0;
};
static_assert(sizeof(vring_address) == 40);

struct memory_region {
  std::uint64_t guest_address = 0;
  std::uint64_t size = 0;
  std::uint64_t user_address = 0;
  std::uint64_t fd_offset = 0;
};
static_assert(sizeof(memory_region) == 32);

struct config_header {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
};
static_assert(sizeof(config_header) == 12);

/// In the payload of kick, call and err: the ring, and whether no descriptor comes along.
inline constexpr std::uint64_t vring_index_mask = 0xff;
inline constexpr std::uint64_t vring_no_fd = 0x100;

/// The specification's limits. They keep a peer from making us map or allocate at will.
inline constexpr std::size_t regions_max = 8;
inline constexpr std::size_t config_max = 256;
inline constexpr std::size_t payload_max = sizeof(config_header) + config_max;
inline constexpr std::size_t fds_max = regions_max;
static_assert(payload_max >= 8 + regions_max * sizeof(memory_region));

} // namespace troupe::vhost_user::wire
