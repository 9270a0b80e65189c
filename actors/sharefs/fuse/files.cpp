#include "actors/sharefs/fuse/credentials.hpp"
#include "actors/sharefs/fuse/operation.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace troupe::fuse {
namespace {

/// Of the flags a guest opens with, those that reach the host. Not O_APPEND: the guest may write
/// pages of a mapping through the same handle, so appending is decided per WRITE. Not O_DIRECT: its
/// rules of alignment are about memory that is not the caller's. Not O_NOATIME: it needs ownership.
int host_flags(std::uint32_t guest_flags) noexcept {
  constexpr auto passed = static_cast<std::uint32_t>(O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC);
  return static_cast<int>(guest_flags & passed) | O_CLOEXEC | O_NONBLOCK;
}

bool changes(int flags) noexcept {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

/// Opens the file itself. Only regular files: a device or fifo would act on the host when opened.
answer<unique_fd> open_file(const located& file, int flags) {
  if (S_ISDIR(file.type))
    return refuse(EISDIR);
  if (S_ISLNK(file.type))
    return refuse(ELOOP);
  if (!S_ISREG(file.type))
    return refuse(ENXIO);
  unique_fd opened{::open(proc_path{file.fd()}.c_str(), flags)};
  if (!opened)
    return refuse_errno();
  return opened;
}

answer<fuse_open_out> hand_out(operation& op, const located& file, unique_fd opened, int flags) {
  auto entry = std::make_shared<open_handle>();
  entry->file = std::make_shared<held_fd>(file.path->tree, std::move(opened));
  entry->node = file.id;
  fuse_open_out out{};
  out.fh = TRY(op.where.open(std::move(entry)));
  if (file.tree().policy().exclusive)
    out.open_flags |= FOPEN_KEEP_CACHE;
  if ((flags & O_ACCMODE) == O_RDONLY) // nothing to flush: saves a request per close
    out.open_flags |= FOPEN_NOFLUSH;
  return out;
}

answer<held_ptr> opened_file(operation& op, std::uint64_t number) {
  const auto open = TRY(op.where.handle(number));
  if (!open->file)
    return refuse(EBADF);
  return open->file;
}

answer<held_ptr> opened_file_for_change(operation& op, std::uint64_t number) {
  auto file = TRY(opened_file(op, number));
  if (file->tree->policy().read_only)
    return refuse(EROFS);
  return file;
}

/// Makes the file, or finds that it is there: then the caller opens it like any other, because what
/// lies there may be a fifo or a link.
answer<unique_fd> make_file(const located& directory, const std::string& name, int flags,
                            mode_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CREAT | O_EXCL | O_NOFOLLOW);
  how.mode = mode & 07777;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  unique_fd made{
      static_cast<int>(::syscall(SYS_openat2, directory.fd(), name.c_str(), &how, sizeof how))};
  if (!made)
    return refuse_errno();
  return made;
}

} // namespace

answer<void> open(operation& op) {
  const auto in = TRY(op.args.take<fuse_open_in>());
  if (is_virtual(op.header.nodeid))
    return refuse(EISDIR);
  const auto flags = host_flags(in.flags);
  const auto file = TRY(changes(flags) ? op.where.resolve_for_change(op.header.nodeid)
                                       : op.where.resolve(op.header.nodeid));
  const killing_suid kill{(in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0};
  auto opened = TRY(open_file(file, flags));
  if (changes(flags))
    op.where.reidentify(file);
  return op.reply.put(bytes_of(TRY(hand_out(op, file, std::move(opened), flags))));
}

answer<void> create(operation& op) {
  const auto in = TRY(op.args.take<fuse_create_in>());
  const std::string name{TRY(op.args.name())};
  if (is_virtual(op.header.nodeid))
    return refuse(EROFS);
  const auto directory = TRY(op.where.resolve_for_change(op.header.nodeid));
  const auto flags = host_flags(in.flags);
  const killing_suid kill{(in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0};
  auto made = make_file(directory, name, flags, in.mode);
  if (!made && (made.error() != os_error{EEXIST} || (in.flags & O_EXCL) != 0))
    return tl::unexpected(made.error());
  const auto status =
      TRY(made ? status_at(made->get(), "") : status_at(directory.fd(), name.c_str()));
  const auto entry = TRY(enter(op, directory, name, status));
  const auto file = TRY(op.where.resolve(entry.nodeid));
  auto opened = made ? std::move(*made) : TRY(open_file(file, flags));
  const auto out = hand_out(op, file, std::move(opened), flags);
  if (!out) {
    op.where.forget(entry.nodeid, 1);
    return tl::unexpected(out.error());
  }
  TRY(op.reply.put(bytes_of(entry)));
  return op.reply.put(bytes_of(*out));
}

answer<void> read(operation& op) {
  const auto in = TRY(op.args.take<fuse_read_in>());
  const auto file = TRY(opened_file(op, in.fh));
  const auto room = op.reply.open_end(std::min(in.size, max_transfer));
  const auto done = ::preadv(file->get(), room.pieces().data(),
                             static_cast<int>(room.pieces().size()), static_cast<off_t>(in.offset));
  if (done < 0)
    return refuse_errno();
  op.reply.advance(static_cast<std::size_t>(done));
  return {};
}

answer<void> write(operation& op) {
  const auto in = TRY(op.args.take<fuse_write_in>());
  const auto file = TRY(opened_file_for_change(op, in.fh));
  if (in.size > max_transfer || in.size > op.payload.size())
    return refuse(EINVAL);
  const killing_suid kill{(in.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0};
  const auto data = op.payload.part(0, in.size);
  const bool append = (in.flags & O_APPEND) != 0 && (in.write_flags & FUSE_WRITE_CACHE) == 0;
  const auto done =
      ::pwritev2(file->get(), data.pieces().data(), static_cast<int>(data.pieces().size()),
                 static_cast<off_t>(in.offset), append ? RWF_APPEND : 0);
  if (done < 0)
    return refuse_errno();
  fuse_write_out out{};
  out.size = static_cast<std::uint32_t>(done);
  return op.reply.put(bytes_of(out));
}

answer<void> release(operation& op) {
  op.where.close(TRY(op.args.take<fuse_release_in>()).fh);
  return {};
}

/// Somebody closed a copy of the handle: the host reports what it could not write (NFS, quota).
answer<void> flush(operation& op) {
  const auto file = TRY(opened_file(op, TRY(op.args.take<fuse_flush_in>()).fh));
  const int copy = ::fcntl(file->get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0 || ::close(copy) != 0)
    return refuse_errno();
  return {};
}

answer<void> fsync(operation& op) {
  const auto in = TRY(op.args.take<fuse_fsync_in>());
  const auto open = TRY(op.where.handle(in.fh));
  if (!open->file)
    return {};
  const bool data_only = (in.fsync_flags & FUSE_FSYNC_FDATASYNC) != 0;
  if ((data_only ? ::fdatasync(open->file->get()) : ::fsync(open->file->get())) != 0)
    return refuse_errno();
  return {};
}

answer<void> fallocate(operation& op) {
  const auto in = TRY(op.args.take<fuse_fallocate_in>());
  if ((in.mode & ~unsigned{FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE}) != 0)
    return refuse(EOPNOTSUPP);
  const auto file = TRY(opened_file_for_change(op, in.fh));
  if (::fallocate(file->get(), static_cast<int>(in.mode), static_cast<off_t>(in.offset),
                  static_cast<off_t>(in.length)) != 0)
    return refuse_errno();
  return {};
}

/// Only the questions about holes come here; the guest knows positions by itself.
answer<void> lseek(operation& op) {
  const auto in = TRY(op.args.take<fuse_lseek_in>());
  if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE)
    return refuse(EINVAL);
  const auto open = TRY(op.where.handle(in.fh));
  if (!open->file || open->directory)
    return refuse(EBADF);
  const auto found =
      ::lseek(open->file->get(), static_cast<off_t>(in.offset), static_cast<int>(in.whence));
  if (found < 0)
    return refuse_errno();
  return op.reply.put(bytes_of(fuse_lseek_out{static_cast<std::uint64_t>(found)}));
}

answer<void> copy_file_range(operation& op) {
  const auto in = TRY(op.args.take<fuse_copy_file_range_in>());
  const auto from = TRY(opened_file(op, in.fh_in));
  const auto to = TRY(opened_file_for_change(op, in.fh_out));
  if (in.flags != 0)
    return refuse(EINVAL);
  auto from_at = static_cast<off_t>(in.off_in);
  auto to_at = static_cast<off_t>(in.off_out);
  const auto done =
      ::copy_file_range(from->get(), &from_at, to->get(), &to_at, std::min(in.len, max_copy), 0);
  if (done < 0)
    return refuse_errno();
  fuse_write_out out{};
  out.size = static_cast<std::uint32_t>(done);
  return op.reply.put(bytes_of(out));
}

/// The guest's sync(2), once per mount that it sees. The virtual root has nothing to write.
answer<void> syncfs(operation& op) {
  if (is_virtual(op.header.nodeid))
    return {};
  const auto root = TRY(op.where.resolve(op.header.nodeid));
  if (!S_ISDIR(root.type))
    return {};
  const unique_fd opened{::open(proc_path{root.fd()}.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!opened || ::syncfs(opened.get()) != 0)
    return refuse_errno();
  return {};
}

} // namespace troupe::fuse
