#include "actors/vcpu/memory/mapping_raw.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>

namespace troupe::memory {
namespace {

// Nothing on our architectures has larger pages; a file system may claim any block size.
constexpr byte_count largest_page = gib(1);

// What the file is mapped in: hugetlbfs tells its page size so, and takes no other alignment.
byte_count page_of(const struct stat& file) noexcept {
  const auto size = static_cast<byte_count>(file.st_blksize);
  return std::has_single_bit(size) ? std::clamp(size, kib(4), largest_page) : kib(4);
}

void unmap(std::byte* from, byte_count size) noexcept {
  if (size > 0)
    ::munmap(from, size);
}

// An address that is a multiple of `unit` away from `like`.
struct alignment {
  byte_count unit;
  byte_count like;

  // How far behind `at` the next such address is.
  [[nodiscard]] byte_count before(const void* at) const noexcept {
    return (like - reinterpret_cast<std::uintptr_t>(at)) % unit;
  }
};

// Where the kernel puts it: already as wanted, more often than not. Null otherwise.
std::byte* map_anywhere(int fd, byte_count size, const alignment& wanted) noexcept {
  void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (at == MAP_FAILED)
    return nullptr;
  if (wanted.before(at) == 0)
    return static_cast<std::byte*>(at);
  unmap(static_cast<std::byte*>(at), size);
  return nullptr;
}

outcome<std::byte*> map_aligned(int fd, byte_count size, const alignment& wanted) {
  const auto room_size = size + wanted.unit;
  void* const room =
      ::mmap(nullptr, room_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED)
    return fail_errno("reserve address space for guest memory", errno);
  auto* const begin = static_cast<std::byte*>(room);
  const auto before = wanted.before(room);
  if (::mmap(begin + before, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
             fd, 0) == MAP_FAILED) {
    const int error = errno;
    unmap(begin, room_size);
    return fail_errno("map guest memory", error);
  }
  unmap(begin, before);
  unmap(begin + before + size, wanted.unit - before);
  return begin + before;
}

} // namespace

outcome<mapping> mapping::of(int fd, byte_count length, byte_count like) {
  struct stat file {};
  if (::fstat(fd, &file) != 0)
    return fail_errno("stat of guest memory", errno);
  if (static_cast<byte_count>(file.st_size) < length)
    return fail(errc::invalid_argument, "guest memory: file of {} bytes, {} wanted", file.st_size,
                length);
  const auto page = page_of(file);
  const alignment wanted{std::max(page, huge_page), like};
  const auto size = (length + page - 1) / page * page;
  auto* at = map_anywhere(fd, size, wanted);
  if (at == nullptr)
    at = TRY(map_aligned(fd, size, wanted));
  return mapping{at, size};
}

mapping::~mapping() {
  if (start_ != nullptr)
    unmap(start_, length_);
}

} // namespace troupe::memory
