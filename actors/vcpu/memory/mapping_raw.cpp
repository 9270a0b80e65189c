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
  return std::has_single_bit(size) ? std::clamp(size, small_page, largest_page) : small_page;
}

void unmap(std::byte* from, byte_count size) noexcept {
  if (size > 0)
    ::munmap(from, size);
}

outcome<std::byte*> map_anywhere(int fd, byte_count size) {
  void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (at == MAP_FAILED)
    return fail_errno("map guest memory", errno);
  return static_cast<std::byte*>(at);
}

// At an address that equals `like` modulo `align`.
outcome<std::byte*> map_aligned(int fd, byte_count size, byte_count align, byte_count like) {
  void* const room =
      ::mmap(nullptr, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED)
    return fail_errno("reserve address space for guest memory", errno);
  auto* const begin = static_cast<std::byte*>(room);
  const auto before = (like - reinterpret_cast<std::uintptr_t>(room)) % align;
  if (::mmap(begin + before, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
             fd, 0) == MAP_FAILED) {
    const int error = errno;
    unmap(begin, size + align);
    return fail_errno("map guest memory", error);
  }
  unmap(begin, before);
  unmap(begin + before + size, align - before);
  return begin + before;
}

} // namespace

outcome<mapping> mapping::of(int fd, byte_count length, byte_count like, byte_count alignment) {
  struct stat file {};
  if (::fstat(fd, &file) != 0)
    return fail_errno("stat of guest memory", errno);
  if (static_cast<byte_count>(file.st_size) < length)
    return fail(errc::invalid_argument, "guest memory: file of {} bytes, {} wanted", file.st_size,
                length);
  const auto page = page_of(file);
  const auto size = (length + page - 1) / page * page;
  const auto align = std::max(page, alignment);
  auto* const at = TRY(align == small_page ? map_anywhere(fd, size) // as every mapping is
                                           : map_aligned(fd, size, align, like));
  return mapping{at, size};
}

mapping::~mapping() {
  if (start_ != nullptr)
    unmap(start_, length_);
}

} // namespace troupe::memory
