#include "actors/vcpu/memory/mapping_raw.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <limits>

namespace troupe::memory {

outcome<mapping> mapping::of(int fd, byte_count length, byte_count like) {
  struct stat file {};
  if (::fstat(fd, &file) != 0)
    return fail_errno("stat of guest memory", errno);
  if (static_cast<byte_count>(file.st_size) < length)
    return fail(errc::invalid_argument, "guest memory: file of {} bytes, {} wanted", file.st_size,
                length);
  if (length > std::numeric_limits<byte_count>::max() / 2)
    return fail(errc::invalid_argument, "guest memory: {:#x} bytes are no address space", length);
  const auto reserved = length + huge_page;
  void* const room =
      ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED)
    return fail_errno("reserve address space for guest memory", errno);
  const auto before = (like - reinterpret_cast<std::uintptr_t>(room)) % huge_page;
  auto* const start = static_cast<std::byte*>(room) + before;
  const auto trim = [](std::byte* from, byte_count size) {
    if (size > 0)
      ::munmap(from, size);
  };
  if (::mmap(start, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd,
             0) == MAP_FAILED) {
    const int error = errno;
    trim(static_cast<std::byte*>(room), reserved);
    return fail_errno("map guest memory", error);
  }
  trim(static_cast<std::byte*>(room), before);
  trim(start + length, huge_page - before);
  return mapping{start, length};
}

mapping::~mapping() {
  if (start_ != nullptr)
    ::munmap(start_, length_);
}

} // namespace troupe::memory
