#pragma once

#include "actors/vcpu/kvm/exit.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <cstddef>
#include <span>
#include <utility>

namespace troupe::kvm {

/// Reads the reason out of a vCPU's shared page (kvm_run and the page of port data behind it).
/// peer_fault: the kernel speaks of bytes outside of the page, more than 8 of memory data or a port
/// access of no x86 width.
[[nodiscard]] outcome<exit_event> decode_exit(std::span<std::byte> page);

/// Sole owner of the mapping of a vCPU's shared page.
class run_page {
public:
  /// Maps `size` bytes (system::run_size()) of a vCPU's descriptor.
  [[nodiscard]] static outcome<run_page> map(int fd, std::size_t size);

  run_page(run_page&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  run_page& operator=(run_page&&) = delete;
  run_page(const run_page&) = delete;
  run_page& operator=(const run_page&) = delete;
  ~run_page();

  /// While set, KVM_RUN finishes what the last exit began and then returns EINTR instead of going
  /// into the guest. Any thread; ordered with all other sequentially consistent operations.
  void set_immediate_exit(bool on) noexcept;

  /// Why the last run ended; the spans in it are good until the next one. The vCPU's thread only.
  [[nodiscard]] outcome<exit_event> last_exit() const { return decode_exit(bytes_); }

private:
  explicit run_page(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}

  std::span<std::byte> bytes_;
};

} // namespace troupe::kvm
