#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

/// The ioctls of <linux/kvm.h> that C++ reads wrongly. Its flexible arrays begin with an empty
/// struct, which has no size in C but one byte in C++: that moves the array and, through the size
/// in the number, changes the ioctl. So these structs are given here by their head, the entries
/// follow it. A test compares every number with what a C compiler makes of the header.
namespace troupe::kvm::abi {

/// kvm_cpuid2, kvm_msrs and kvm_irq_routing: how many entries, and a field that is zero.
struct counted_head {
  std::uint32_t count = 0;
  std::uint32_t zero = 0;
};
/// kvm_msr_list.
struct list_head {
  std::uint32_t count = 0;
};
/// kvm_xsave; longer where the kernel has dynamic features.
struct xsave_head {
  std::uint32_t region[1024];
};

static_assert(sizeof(counted_head) == 8);
static_assert(sizeof(list_head) == 4);
static_assert(sizeof(xsave_head) == 4096);
static_assert(sizeof(kvm_cpuid_entry2) == 40);
static_assert(sizeof(kvm_msr_entry) == 16);
static_assert(sizeof(kvm_irq_routing_entry) == 48);
static_assert(offsetof(kvm_run, hw) == 32, "the union of exits");

inline constexpr unsigned long get_msr_index_list = _IOWR(KVMIO, 0x02, list_head);
inline constexpr unsigned long get_supported_cpuid = _IOWR(KVMIO, 0x05, counted_head);
inline constexpr unsigned long set_gsi_routing = _IOW(KVMIO, 0x6a, counted_head);
inline constexpr unsigned long get_msrs = _IOWR(KVMIO, 0x88, counted_head);
inline constexpr unsigned long set_msrs = _IOW(KVMIO, 0x89, counted_head);
inline constexpr unsigned long set_cpuid2 = _IOW(KVMIO, 0x90, counted_head);
inline constexpr unsigned long get_cpuid2 = _IOWR(KVMIO, 0x91, counted_head);
inline constexpr unsigned long get_xsave = _IOR(KVMIO, 0xa4, xsave_head);
inline constexpr unsigned long set_xsave = _IOW(KVMIO, 0xa5, xsave_head);
inline constexpr unsigned long get_xsave2 = _IOR(KVMIO, 0xcf, xsave_head);

/// A head and the entries behind it, in one piece, as the kernel wants them.
template <class Head, class Entry>
class counted {
public:
  /// Room for `capacity` entries, all zero.
  explicit counted(std::size_t capacity) : bytes_(sizeof(Head) + capacity * sizeof(Entry)) {
    set_count(capacity);
  }
  explicit counted(std::span<const Entry> entries) : counted(entries.size()) {
    if (!entries.empty())
      std::memcpy(bytes_.data() + sizeof(Head), entries.data(), entries.size_bytes());
  }

  [[nodiscard]] void* data() noexcept { return bytes_.data(); }

  /// What the head says now.
  [[nodiscard]] std::uint32_t count() const noexcept {
    Head head;
    std::memcpy(&head, bytes_.data(), sizeof head);
    return head.count;
  }

  /// As many entries as the head says, at most those there is room for.
  [[nodiscard]] std::vector<Entry> entries() const {
    const auto room = (bytes_.size() - sizeof(Head)) / sizeof(Entry);
    std::vector<Entry> all(count() < room ? count() : room);
    if (!all.empty())
      std::memcpy(all.data(), bytes_.data() + sizeof(Head), all.size() * sizeof(Entry));
    return all;
  }

private:
  void set_count(std::size_t count) noexcept {
    Head head{};
    head.count = static_cast<std::uint32_t>(count);
    std::memcpy(bytes_.data(), &head, sizeof head);
  }

  std::vector<std::byte> bytes_;
};

} // namespace troupe::kvm::abi
