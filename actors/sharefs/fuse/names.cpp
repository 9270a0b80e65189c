#include "actors/sharefs/fuse/operation.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>

namespace troupe::fuse {
namespace {

constexpr mode_t mode_bits = 07777;

/// A directory and a name in it, about to be changed.
struct target {
  located directory;
  std::string name;
};

answer<target> target_in(operation& op, std::uint64_t directory) {
  const auto name = TRY(op.args.name());
  if (is_virtual(directory))
    return refuse(EROFS);
  return target{TRY(op.where.resolve_for_change(directory)), std::string{name}};
}

/// Kinds that a guest may make. A fifo or socket is only a name here; its two ends meet in the
/// guest. A device node would be a door to a device of the host, except 0:0, an overlay's whiteout.
bool may_make(mode_t mode, std::uint32_t device) noexcept {
  switch (mode & S_IFMT) {
  case 0:
  case S_IFREG:
  case S_IFIFO:
  case S_IFSOCK:
    return true;
  case S_IFCHR:
    return device == 0;
  default:
    return false;
  }
}

answer<void> rename_with(operation& op, std::uint64_t new_directory, unsigned flags) {
  const auto from = TRY(target_in(op, op.header.nodeid));
  const auto to = TRY(target_in(op, new_directory));
  if (from.directory.path->tree != to.directory.path->tree)
    return refuse(EXDEV);
  const auto source = TRY(status_at(from.directory.fd(), from.name.c_str()));
  const auto replaced = status_at(to.directory.fd(), to.name.c_str());
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (replaced && !exchange)
    op.where.keep_nameless(to.directory, to.name);
  if (::renameat2(from.directory.fd(), from.name.c_str(), to.directory.fd(), to.name.c_str(),
                  flags) != 0)
    return refuse_errno();
  op.where.moved(identity_of(source), to.directory, to.name);
  if (exchange && replaced)
    op.where.moved(identity_of(*replaced), from.directory, from.name);
  return {};
}

answer<void> remove(operation& op, int flags) {
  const auto doomed = TRY(target_in(op, op.header.nodeid));
  op.where.keep_nameless(doomed.directory, doomed.name);
  if (::unlinkat(doomed.directory.fd(), doomed.name.c_str(), flags) != 0)
    return refuse_errno();
  return {};
}

} // namespace

answer<void> lookup(operation& op) {
  const auto name = TRY(op.args.name());
  if (!is_virtual(op.header.nodeid))
    return reply_entry(op, TRY(op.where.resolve(op.header.nodeid)), std::string{name});
  const auto found = op.where.names().find(directory_of(op.header.nodeid), name);
  if (!found)
    return refuse(ENOENT);
  return op.reply.put(bytes_of(TRY(enter(op, *found))));
}

answer<void> forget(operation& op) {
  op.where.forget(op.header.nodeid, TRY(op.args.take<fuse_forget_in>()).nlookup);
  return {};
}

answer<void> batch_forget(operation& op) {
  const auto batch = TRY(op.args.take<fuse_batch_forget_in>());
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    const auto one = TRY(op.args.take<fuse_forget_one>());
    op.where.forget(one.nodeid, one.nlookup);
  }
  return {};
}

answer<void> readlink(operation& op) {
  const auto link = TRY(op.where.resolve(op.header.nodeid));
  std::array<char, max_link_target + 1> text{};
  const auto length = ::readlinkat(link.fd(), "", text.data(), text.size());
  if (length < 0)
    return refuse_errno();
  return op.reply.put(text_bytes({text.data(), static_cast<std::size_t>(length)}));
}

answer<void> symlink(operation& op) {
  const auto made = TRY(target_in(op, op.header.nodeid));
  const auto text = TRY(op.args.text());
  if (text.empty())
    return refuse(ENOENT);
  if (text.size() > max_link_target)
    return refuse(ENAMETOOLONG);
  if (::symlinkat(std::string{text}.c_str(), made.directory.fd(), made.name.c_str()) != 0)
    return refuse_errno();
  return reply_entry(op, made.directory, made.name);
}

answer<void> mknod(operation& op) {
  const auto in = TRY(op.args.take<fuse_mknod_in>());
  const auto made = TRY(target_in(op, op.header.nodeid));
  if (!may_make(in.mode, in.rdev))
    return refuse(EPERM);
  if (::mknodat(made.directory.fd(), made.name.c_str(), in.mode & (S_IFMT | mode_bits), 0) != 0)
    return refuse_errno();
  return reply_entry(op, made.directory, made.name);
}

answer<void> mkdir(operation& op) {
  const auto in = TRY(op.args.take<fuse_mkdir_in>());
  const auto made = TRY(target_in(op, op.header.nodeid));
  if (::mkdirat(made.directory.fd(), made.name.c_str(), in.mode & mode_bits) != 0)
    return refuse_errno();
  return reply_entry(op, made.directory, made.name);
}

answer<void> link(operation& op) {
  const auto in = TRY(op.args.take<fuse_link_in>());
  const auto made = TRY(target_in(op, op.header.nodeid));
  const auto file = TRY(op.where.resolve_for_change(in.oldnodeid));
  if (file.path->tree != made.directory.path->tree)
    return refuse(EXDEV);
  const proc_path from{file.fd()};
  if (::linkat(AT_FDCWD, from.c_str(), made.directory.fd(), made.name.c_str(), AT_SYMLINK_FOLLOW) !=
      0)
    return refuse_errno();
  op.where.reidentify(file);
  return reply_entry(op, made.directory, made.name);
}

answer<void> unlink(operation& op) {
  return remove(op, 0);
}

answer<void> rmdir(operation& op) {
  return remove(op, AT_REMOVEDIR);
}

answer<void> rename(operation& op) {
  return rename_with(op, TRY(op.args.take<fuse_rename_in>()).newdir, 0);
}

answer<void> rename2(operation& op) {
  const auto in = TRY(op.args.take<fuse_rename2_in>());
  if ((in.flags & ~unsigned{RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT}) != 0)
    return refuse(EINVAL);
  return rename_with(op, in.newdir, in.flags);
}

} // namespace troupe::fuse
