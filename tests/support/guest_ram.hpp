#pragma once

#include "actors/devices/virtio/queue.hpp"
#include "actors/vcpu/memory/guest_memory.hpp"
#include "tests/support/must.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// A guest without a machine: RAM over a memfd, and the driver's end of a split ring in it, which
/// can tell any lie.
namespace troupe::testing {

class guest_ram {
public:
  explicit guest_ram(byte_count size = mib(1), gpa base = 0) : fd_(::memfd_create("ram", 0)) {
    std::vector<memory::region> regions;
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) == 0)
      regions.push_back({base, size, unique_fd{::dup(fd_.get())}, 0});
    memory_ = memory::guest_memory::map(std::move(regions)).value();
  }

  [[nodiscard]] const std::shared_ptr<const memory::guest_memory>& memory() const {
    return memory_;
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

  template <class T>
  [[nodiscard]] T get(gpa at) const {
    T value{};
    must(memory_->read(at, std::as_writable_bytes(std::span{&value, 1})));
    return value;
  }
  template <class T>
  void put(gpa at, const T& value) const {
    must(memory_->write(at, std::as_bytes(std::span{&value, 1})));
  }
  void put_text(gpa at, std::string_view text) const {
    must(memory_->write(at, std::as_bytes(std::span{text})));
  }
  [[nodiscard]] std::string text(gpa at, std::size_t size) const {
    std::string it(size, '\0');
    must(memory_->read(at, std::as_writable_bytes(std::span{it})));
    return it;
  }

private:
  unique_fd fd_;
  std::shared_ptr<const memory::guest_memory> memory_;
};

/// Counts what the driver would see as interrupts.
class interrupt_counter final : public virtio::interrupt {
public:
  void raise() noexcept override { ++count; }
  int count = 0;
};

struct buffer {
  gpa address = 0;
  std::uint32_t length = 0;
  bool writable = false;
};

struct used_entry {
  std::uint32_t head = 0;
  std::uint32_t written = 0;
  friend bool operator==(const used_entry&, const used_entry&) = default;
};

/// Lays its ring out in one 32 KiB stretch from `at` on.
class driver_ring {
public:
  driver_ring(const guest_ram& ram, gpa at, std::uint16_t size) : ram_(ram), at_(at), size_(size) {}

  [[nodiscard]] virtio::queue_state state() const {
    virtio::queue_state it;
    it.size = size_;
    it.descriptors = at_;
    it.available = available();
    it.used = used();
    return it;
  }

  void describe(std::uint16_t index, const virtio::descriptor& what) const {
    ram_.put(at_ + 16 * index, what);
  }
  /// Chains the buffers from descriptor `first` on and offers them.
  void add(std::uint16_t first, std::initializer_list<buffer> buffers) {
    auto index = first;
    for (const auto& it : buffers) {
      const auto last = static_cast<std::size_t>(index - first) + 1 == buffers.size();
      const auto flags =
          (it.writable ? virtio::descriptor_write : 0) | (last ? 0 : virtio::descriptor_next);
      describe(index, {it.address, it.length, static_cast<std::uint16_t>(flags),
                       static_cast<std::uint16_t>(last ? 0 : index + 1)});
      ++index;
    }
    offer(first);
  }
  void offer(std::uint16_t head) {
    ram_.put(available() + 4 + 2 * (index_ % size_), head);
    set_index(static_cast<std::uint16_t>(index_ + 1));
  }
  /// The available index, honest or not.
  void set_index(std::uint16_t to) {
    index_ = to;
    must(ram_.memory()->store_u16(available() + 2, to));
  }
  void set_flags(std::uint16_t to) const { ram_.put(available(), to); }
  void set_used_event(std::uint16_t to) const { ram_.put(available() + 4 + 2 * size_, to); }
  [[nodiscard]] std::uint16_t available_event() const {
    return ram_.get<std::uint16_t>(used() + 4 + 8 * size_);
  }
  [[nodiscard]] std::uint16_t used_index() const {
    return ram_.memory()->load_u16(used() + 2).value();
  }
  [[nodiscard]] used_entry used_at(std::uint16_t index) const {
    return ram_.get<used_entry>(used() + 4 + 8 * (index % size_));
  }
  /// The next used element, if the device has published one.
  [[nodiscard]] std::optional<used_entry> take_used() {
    if (seen_ == used_index())
      return std::nullopt;
    return used_at(seen_++);
  }

private:
  [[nodiscard]] gpa available() const { return at_ + kib(16); }
  [[nodiscard]] gpa used() const { return at_ + kib(20); }

  const guest_ram& ram_;
  gpa at_;
  std::uint16_t size_;
  std::uint16_t index_ = 0;
  std::uint16_t seen_ = 0;
};

} // namespace troupe::testing
