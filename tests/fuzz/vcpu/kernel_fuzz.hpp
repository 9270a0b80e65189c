#pragma once

#include "actors/vcpu/boot/image_file.hpp"
#include "tests/support/guest_ram.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

/// What both loaders are held to: nothing is written or entered outside of what they may use.
namespace troupe::testing {

inline constexpr memory::address_range kernel_room{mib(1), mib(3)};

class kernel_bed {
public:
  /// The input as a file; nothing when it is empty.
  std::optional<boot::image_file> file_of(const std::uint8_t* data, std::size_t size) {
    if (::ftruncate(fd_.get(), 0) != 0 ||
        ::pwrite(fd_.get(), data, size, 0) != static_cast<ssize_t>(size))
      std::abort();
    auto file = boot::image_file::of(fd_.get(), "kernel", mib(4));
    return file ? std::optional{*file} : std::nullopt;
  }
  [[nodiscard]] const memory::guest_memory& ram() const { return *ram_.memory(); }

  /// Aborts unless a refusal blames the file, and a kernel is where it may be.
  template <class Kernel>
  void check(const outcome<Kernel>& found) const {
    if (!found && found.error().code != errc::invalid_argument)
      std::abort();
    if (found && (!kernel_room.contains(found->image.start, found->image.size) ||
                  !found->image.contains(found->entry, 1)))
      std::abort();
    std::array<std::byte, kib(64)> below{};
    if (!ram_.memory()->read(kernel_room.start - below.size(), below) ||
        std::ranges::any_of(below, [](std::byte it) { return it != std::byte{0}; }))
      std::abort();
  }

private:
  unique_fd fd_{::memfd_create("kernel", 0)};
  guest_ram ram_{mib(4)};
};

} // namespace troupe::testing
