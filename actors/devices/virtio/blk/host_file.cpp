#include "actors/devices/virtio/blk/host_file.hpp"

#include "actors/vcpu/memory/access_raw.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <span>

namespace troupe::blk {
namespace {

constexpr std::uint32_t sector = 512;
constexpr std::uint32_t page = 4096;

struct free_memory {
  void operator()(std::byte* it) const noexcept { std::free(it); }
};
using aligned_bytes = std::unique_ptr<std::byte, free_memory>;

aligned_bytes allocate(std::size_t size) noexcept {
  return aligned_bytes{static_cast<std::byte*>(std::aligned_alloc(page, size))};
}

std::size_t total(std::span<const iovec> buffers) noexcept {
  std::size_t sum = 0;
  for (const auto& it : buffers)
    sum += it.iov_len;
  return sum;
}

// A few buffers from `skip` bytes on, for one system call; needs no memory.
struct batch {
  std::array<iovec, 64> parts;
  int count = 0;

  batch(std::span<const iovec> of, std::size_t skip) noexcept {
    for (const auto& it : of) {
      if (skip >= it.iov_len) {
        skip -= it.iov_len;
        continue;
      }
      parts[static_cast<std::size_t>(count++)] = {static_cast<std::byte*>(it.iov_base) + skip,
                                                  it.iov_len - skip};
      skip = 0;
      if (count == static_cast<int>(parts.size()))
        return;
    }
  }
};

// Calls `move(batch, position)` until everything is moved. A file that ends early is an error.
template <class Move>
io_error move_all(std::span<const iovec> buffers, byte_count at, const Move& move) noexcept {
  const auto size = total(buffers);
  for (std::size_t done = 0; done < size;) {
    const batch some{buffers, done};
    const auto moved = move(some, static_cast<off_t>(at + done));
    if (moved < 0 && errno == EINTR)
      continue;
    if (moved <= 0)
      return moved < 0 ? errno : EIO;
    done += static_cast<std::size_t>(moved);
  }
  return 0;
}

io_error read_all(int fd, byte_count at, std::span<const iovec> into) noexcept {
  return move_all(into, at, [fd](const batch& some, off_t where) {
    return ::preadv(fd, some.parts.data(), some.count, where);
  });
}

io_error write_all(int fd, byte_count at, std::span<const iovec> from, bool durable) noexcept {
  const auto flags = durable ? RWF_DSYNC : 0;
  return move_all(from, at, [fd, flags](const batch& some, off_t where) {
    return ::pwritev2(fd, some.parts.data(), some.count, where, flags);
  });
}

// Calls `move(piece of host memory, offset)` for each piece of `size` bytes.
template <class Move>
io_error bounced(std::size_t size, const Move& move) noexcept {
  const auto memory = allocate(bounce_bytes);
  if (!memory)
    return ENOMEM;
  for (std::size_t done = 0; done < size; done += bounce_bytes) {
    const std::span piece{memory.get(), std::min(bounce_bytes, size - done)};
    if (const auto error = move(piece, done); error != 0)
      return error;
  }
  return 0;
}

io_error allocate_range(int fd, int mode, byte_count at, byte_count length) noexcept {
  const auto done = ::fallocate(fd, mode, static_cast<off_t>(at), static_cast<off_t>(length));
  return done == 0 ? 0 : errno;
}

bool unsupported(io_error error) noexcept {
  return error == EOPNOTSUPP || error == ENOTTY || error == EINVAL;
}

// What O_DIRECT wants, where the kernel (since 6.1) and the file system tell it; 0 elsewhere.
std::uint32_t told_block(int fd) noexcept {
  struct statx file {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &file) != 0 ||
      (file.stx_mask & STATX_DIOALIGN) == 0 || file.stx_dio_offset_align == 0)
    return 0;
  const auto block = std::max({sector, file.stx_dio_offset_align, file.stx_dio_mem_align});
  return block <= page ? block : 0;
}

// The smallest block that O_DIRECT reads; found by reading if nobody tells.
std::uint32_t direct_block(int fd) noexcept {
  if (const auto told = told_block(fd); told != 0)
    return told;
  alignas(page) std::array<std::byte, page> memory;
  for (auto size = sector; size < page; size *= 2)
    if (::pread(fd, memory.data(), size, 0) >= 0)
      return size;
  return page;
}

outcome<void> measure_device(int fd, geometry& shape) {
  std::uint64_t bytes = 0;
  int logical = 0;
  unsigned physical = 0;
  if (::ioctl(fd, BLKGETSIZE64, &bytes) != 0 || ::ioctl(fd, BLKSSZGET, &logical) != 0 ||
      ::ioctl(fd, BLKPBSZGET, &physical) != 0)
    return fail_errno("disk: measure the block device", errno);
  shape.size = bytes;
  shape.block_size = static_cast<std::uint32_t>(logical);
  shape.physical_block = physical;
  return {};
}

bool is_block_size(std::uint32_t size) noexcept {
  return std::has_single_bit(size) && size >= sector;
}

} // namespace

outcome<std::unique_ptr<host_file>> host_file::open(const std::string& path, bool read_only) {
  // Not blocking, since it may turn out to be a fifo.
  const int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
  unique_fd fd{::open(path.c_str(), flags)};
  if (!fd && errno == ENOENT)
    return fail(errc::invalid_argument, "disk: {} does not exist", path);
  if (!fd)
    return fail_errno("disk: open " + path, errno);
  auto made = TRY(adopt(std::move(fd), read_only));
  if (::flock(made->fd_.get(), (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
    return made;
  if (errno == EWOULDBLOCK)
    return fail(errc::failed_precondition, "disk: {} is in use", path);
  return fail_errno("disk: lock " + path, errno);
}

outcome<std::unique_ptr<host_file>> host_file::adopt(unique_fd fd, bool read_only) {
  struct stat status {};
  const auto flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fstat(fd.get(), &status) != 0)
    return fail_errno("disk: look at the descriptor", errno);
  const auto is_device = S_ISBLK(status.st_mode);
  if (!is_device && !S_ISREG(status.st_mode))
    return fail(errc::invalid_argument, "disk: neither a regular file nor a block device");
  geometry shape;
  shape.size = static_cast<byte_count>(status.st_size);
  shape.physical_block = static_cast<std::uint32_t>(status.st_blksize);
  if (is_device)
    TRY(measure_device(fd.get(), shape));
  const auto direct = (flags & O_DIRECT) != 0;
  if (direct && !is_device)
    shape.block_size = direct_block(fd.get());
  if (!is_block_size(shape.block_size))
    return fail(errc::invalid_argument, "disk: blocks of {} bytes", shape.block_size);
  if (!is_block_size(shape.physical_block) || shape.physical_block < shape.block_size)
    shape.physical_block = shape.block_size;
  shape.size -= shape.size % shape.block_size;
  if (shape.size == 0)
    return fail(errc::invalid_argument, "disk: smaller than a block of {} bytes", shape.block_size);
  shape.read_only = read_only || (flags & O_ACCMODE) == O_RDONLY;
  shape.discards = !shape.read_only;
  const auto alignment = direct ? shape.block_size : 1;
  return std::unique_ptr<host_file>{new host_file{std::move(fd), shape, is_device, alignment}};
}

bool host_file::aligned(std::span<const iovec> buffers) const noexcept {
  return alignment_ == 1 || std::ranges::all_of(buffers, [this](const iovec& it) {
           return (std::bit_cast<std::uintptr_t>(it.iov_base) | it.iov_len) % alignment_ == 0;
         });
}

int host_file::direct(std::span<const iovec> buffers) const noexcept {
  return aligned(buffers) ? fd_.get() : -1;
}

io_error host_file::read(byte_count at, std::span<const iovec> into) noexcept {
  if (aligned(into))
    return read_all(fd_.get(), at, into);
  return bounced(total(into), [&](std::span<std::byte> piece, std::size_t offset) {
    const iovec whole{piece.data(), piece.size()};
    const auto error = read_all(fd_.get(), at + offset, {&whole, 1});
    if (error == 0)
      memory::raw::scatter(into, offset, piece);
    return error;
  });
}

io_error host_file::write(byte_count at, std::span<const iovec> from, bool durable) noexcept {
  if (aligned(from))
    return write_all(fd_.get(), at, from, durable);
  return bounced(total(from), [&](std::span<std::byte> piece, std::size_t offset) {
    memory::raw::gather(from, offset, piece);
    const iovec whole{piece.data(), piece.size()};
    return write_all(fd_.get(), at + offset, {&whole, 1}, durable);
  });
}

io_error host_file::flush() noexcept {
  return ::fdatasync(fd_.get()) == 0 ? 0 : errno;
}

io_error host_file::discard(byte_count at, byte_count length) noexcept {
  if (!is_device_)
    return allocate_range(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length);
  std::array<std::uint64_t, 2> range{at, length};
  const auto error = ::ioctl(fd_.get(), BLKDISCARD, range.data()) == 0 ? 0 : errno;
  return unsupported(error) ? EOPNOTSUPP : error;
}

io_error host_file::zero(byte_count at, byte_count length, bool unmap) noexcept {
  constexpr int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  constexpr int keep = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  auto error = allocate_range(fd_.get(), unmap ? punch : keep, at, length);
  if (unsupported(error))
    error = write_zeros(at, length);
  return error;
}

// Where the file system has no better way.
io_error host_file::write_zeros(byte_count at, byte_count length) noexcept {
  const auto size = std::min<byte_count>(length, bounce_bytes);
  const auto memory = allocate(bounce_bytes);
  if (!memory)
    return ENOMEM;
  std::fill_n(memory.get(), size, std::byte{0});
  for (byte_count done = 0; done < length; done += size) {
    const iovec piece{memory.get(), std::min(size, length - done)};
    if (const auto error = write_all(fd_.get(), at + done, {&piece, 1}, false); error != 0)
      return error;
  }
  return 0;
}

} // namespace troupe::blk
