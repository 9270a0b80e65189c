#include "actors/vcpu/memory/mapping_raw.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

namespace troupe::memory {

outcome<mapping> mapping::of(int fd, byte_count length) {
  struct stat file {};
  if (::fstat(fd, &file) != 0)
    return fail_errno("stat of guest memory", errno);
  if (static_cast<byte_count>(file.st_size) < length)
    return fail(errc::invalid_argument, "guest memory: file of {} bytes, {} wanted", file.st_size,
                length);
  void* start = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (start == MAP_FAILED)
    return fail_errno("map guest memory", errno);
  return mapping{static_cast<std::byte*>(start), length};
}

mapping::~mapping() {
  if (start_ != nullptr)
    ::munmap(start_, length_);
}

} // namespace troupe::memory
