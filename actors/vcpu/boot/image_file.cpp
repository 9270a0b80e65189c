#include "actors/vcpu/boot/image_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <vector>

namespace troupe::boot {
namespace {

// Up to so many bytes the call below costs more than the faults that it saves: it is one that
// nobody made lately.
constexpr std::size_t few_pages = kib(64);

// Fresh RAM has no pages yet. To take one fault a page inside pread costs a quarter more than to
// ask for all of them at once; a kernel that cannot (before 5.14) is only slower.
void take_pages(const iovec& part) {
  if (part.iov_len <= few_pages)
    return;
  constexpr std::uintptr_t page = kib(4);
  const auto start = reinterpret_cast<std::uintptr_t>(part.iov_base);
  const auto before = start % page;
  ::madvise(static_cast<std::byte*>(part.iov_base) - before, part.iov_len + before,
            MADV_POPULATE_WRITE);
}

} // namespace

outcome<image_file> image_file::of(int fd, std::string_view what, byte_count cap) {
  struct stat found {};
  if (::fstat(fd, &found) != 0)
    return fail_errno(fmt::format("stat of {}", what), errno);
  if (!S_ISREG(found.st_mode))
    return fail(errc::invalid_argument, "{}: not a regular file", what);
  const auto size = static_cast<byte_count>(found.st_size);
  if (size == 0 || size > cap)
    return fail(errc::invalid_argument, "{}: {} bytes, 1 to {} are possible", what, size, cap);
  return image_file{fd, what, size};
}

failed image_file::wrong(std::string_view why) const {
  return fail(errc::invalid_argument, "{}: {}", what_, why);
}

outcome<void> image_file::read(byte_count offset, std::span<std::byte> into) const {
  if (offset > size_ || into.size() > size_ - offset)
    return wrong(fmt::format("{} bytes at {:#x} are behind its end", into.size(), offset));
  while (!into.empty()) {
    const auto got = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail_errno(fmt::format("read {}", what_), errno);
    if (got == 0)
      return wrong(fmt::format("became shorter, it ends at {:#x} now", offset));
    into = into.subspan(static_cast<std::size_t>(got));
    offset += static_cast<byte_count>(got);
  }
  return {};
}

outcome<void> image_file::copy(byte_count offset, byte_count length,
                               const memory::guest_memory& ram, gpa to) const {
  std::vector<iovec> parts;
  TRY(ram.slice(to, length, parts));
  for (const auto& it : parts) {
    take_pages(it);
    TRY(read(offset, {static_cast<std::byte*>(it.iov_base), it.iov_len}));
    offset += it.iov_len;
  }
  return {};
}

} // namespace troupe::boot
