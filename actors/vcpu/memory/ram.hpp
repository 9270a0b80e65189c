#pragma once

#include "actors/vcpu/memory/layout.hpp"

#include <memory>

namespace troupe::memory {

/// Most threads that fill memory before boot; more only contend for the kernel's locks.
inline constexpr std::size_t max_prealloc_threads = 16;

/// What pages the host backs RAM with.
enum class page_kind : std::uint8_t {
  ordinary,
  /// Huge pages where the kernel finds some; wants `advise` or more in shmem_enabled.
  transparent_huge,
  /// 2 MiB pages of the host's hugetlb pool. Always preallocated: a page that is missing later
  /// would end the process with SIGBUS.
  hugetlb,
};

struct ram_plan {
  /// Bytes at boot, whole pages; with hugetlb whole 2 MiB.
  byte_count size = 0;
  memory_layout layout;
  /// Reserved as address space; costs nothing until the guest uses it.
  std::vector<extent> windows;
  page_kind pages = page_kind::ordinary;
  /// Takes every page of boot RAM now, so that too little memory is an error before boot.
  bool prealloc = false;
  /// Threads for that, 1 ... max_prealloc_threads.
  std::size_t prealloc_threads = 1;
};

/// The memory of one machine: a sealed memfd, and this process's mapping of it.
///
/// Moves, never copies. Whoever needs the bytes shares `memory`; the file goes to vhost-user peers.
/// Dropping both gives the memory back.
struct ram {
  /// Can neither shrink nor grow: no peer can make our accesses raise SIGBUS by cutting it.
  unique_fd file;
  memory_map map;
  /// Boot RAM and windows.
  std::shared_ptr<const guest_memory> memory;
};

/// Makes it. Errors name the stage: "ram: create file", "ram: preallocate" ... invalid_argument as
/// in lay_out(); host_io or resource_exhausted (no memory, no huge pages) otherwise.
[[nodiscard]] outcome<ram> allocate(const ram_plan& plan);

/// Makes the host take every page of these bytes, `threads` at a time, without changing what is in
/// them: a guest may already be running on it. resource_exhausted: there is not enough memory.
[[nodiscard]] outcome<void> populate(std::span<std::byte> bytes, std::size_t threads);

} // namespace troupe::memory
