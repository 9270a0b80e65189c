#include "actors/sharefs/fuse/credentials.hpp"
#include "actors/sharefs/fuse/operation.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

namespace troupe::fuse {
namespace {

constexpr std::uint64_t attribute_validity = 1;
constexpr std::uint64_t exclusive_attribute_validity = 86'400;
constexpr std::uint32_t nanoseconds = 1'000'000'000;

answer<void> reply_attributes(operation& op, const struct statx& status, bool exclusive) {
  fuse_attr_out out{};
  out.attr_valid = exclusive ? exclusive_attribute_validity : attribute_validity;
  out.attr = attributes_of(status);
  return op.reply.put(bytes_of(out));
}

answer<void> change_size(operation& op, const located& file, const fuse_setattr_in& in) {
  const killing_suid kill{(in.valid & FATTR_KILL_SUIDGID) != 0};
  const auto size = static_cast<off_t>(in.size);
  if (size < 0)
    return refuse(EFBIG);
  if ((in.valid & FATTR_FH) != 0) {
    const auto open = TRY(op.where.handle(in.fh));
    if (!open->file || ::ftruncate(open->file->get(), size) != 0)
      return open->file ? refuse_errno() : refuse(EBADF);
    return {};
  }
  if (file.type != S_IFREG)
    return refuse(S_ISDIR(file.type) ? EISDIR : EINVAL);
  if (::truncate(proc_path{file.fd()}.c_str(), size) != 0)
    return refuse_errno();
  return {};
}

answer<timespec> wanted_time(std::uint32_t valid, std::uint32_t set, std::uint32_t now,
                             std::uint64_t at, std::uint32_t nanos) {
  timespec when{0, UTIME_OMIT};
  if ((valid & now) != 0)
    when.tv_nsec = UTIME_NOW;
  else if ((valid & set) != 0 && nanos >= nanoseconds)
    return refuse(EINVAL);
  else if ((valid & set) != 0)
    when = {static_cast<time_t>(at), static_cast<long>(nanos)};
  return when;
}

answer<void> change_times(const located& file, const fuse_setattr_in& in) {
  const std::array<timespec, 2> times{
      TRY(wanted_time(in.valid, FATTR_ATIME, FATTR_ATIME_NOW, in.atime, in.atimensec)),
      TRY(wanted_time(in.valid, FATTR_MTIME, FATTR_MTIME_NOW, in.mtime, in.mtimensec))};
  if (::utimensat(file.fd(), "", times.data(), AT_EMPTY_PATH) != 0)
    return refuse_errno();
  return {};
}

answer<void> change_owner(const located& file, const fuse_setattr_in& in) {
  const auto user = (in.valid & FATTR_UID) != 0 ? in.uid : static_cast<uid_t>(-1);
  const auto group = (in.valid & FATTR_GID) != 0 ? in.gid : static_cast<gid_t>(-1);
  if (::fchownat(file.fd(), "", user, group, AT_EMPTY_PATH) != 0)
    return refuse_errno();
  return {};
}

answer<void> change_mode(const located& file, const fuse_setattr_in& in) {
  if (S_ISLNK(file.type))
    return refuse(EOPNOTSUPP);
  if (::chmod(proc_path{file.fd()}.c_str(), in.mode & 07777U) != 0)
    return refuse_errno();
  return {};
}

/// Attributes that a guest may see and set. Not trusted.* (an overlay of the host may live by
/// them), not labels of the host's security modules, not ACLs (not negotiated).
bool is_open_xattr(std::string_view name) noexcept {
  return name.starts_with("user.") || name == "security.capability";
}

answer<std::string> xattr_name(operation& op) {
  const auto name = TRY(op.args.text());
  if (name.empty() || name.size() > sharefs::max_name_length)
    return refuse(ERANGE);
  if (!is_open_xattr(name))
    return refuse(EOPNOTSUPP);
  return std::string{name};
}

/// A size of 0 asks how much there is.
answer<void> reply_xattr(operation& op, std::size_t asked, std::span<const std::byte> value) {
  if (asked == 0) {
    fuse_getxattr_out out{};
    out.size = static_cast<std::uint32_t>(value.size());
    return op.reply.put(bytes_of(out));
  }
  if (value.size() > asked)
    return refuse(ERANGE);
  return op.reply.put(value);
}

/// Takes the names out that are_open_xattr() hides. `names` holds NUL-terminated texts.
std::string open_names(std::string_view names) {
  std::string kept;
  while (!names.empty()) {
    const auto end = std::min(names.find('\0'), names.size() - 1);
    const auto name = names.substr(0, end);
    if (is_open_xattr(name))
      kept.append(names.substr(0, end + 1));
    names.remove_prefix(end + 1);
  }
  return kept;
}

} // namespace

answer<void> getattr(operation& op) {
  const auto in = TRY(op.args.take<fuse_getattr_in>());
  const auto node = op.header.nodeid;
  if (is_virtual(node)) {
    if (!op.where.names().has(directory_of(node)))
      return refuse(ESTALE);
    fuse_attr_out out{};
    out.attr = virtual_attributes(node);
    return op.reply.put(bytes_of(out));
  }
  if ((in.getattr_flags & FUSE_GETATTR_FH) != 0) {
    const auto open = TRY(op.where.handle(in.fh));
    if (open->file)
      return reply_attributes(op, TRY(status_at(open->file->get(), "")),
                              open->file->tree->policy().exclusive);
  }
  const auto status = TRY(op.where.status(node));
  return reply_attributes(op, status.attributes, status.exclusive);
}

answer<void> setattr(operation& op) {
  const auto in = TRY(op.args.take<fuse_setattr_in>());
  if (is_virtual(op.header.nodeid))
    return refuse(EROFS);
  const auto file = TRY(op.where.resolve_for_change(op.header.nodeid));
  if ((in.valid & (FATTR_UID | FATTR_GID)) != 0)
    TRY(change_owner(file, in));
  if ((in.valid & FATTR_MODE) != 0) // after the owner: chown(2) clears SUID and SGID
    TRY(change_mode(file, in));
  if ((in.valid & FATTR_SIZE) != 0)
    TRY(change_size(op, file, in));
  if ((in.valid & (FATTR_ATIME | FATTR_MTIME)) != 0)
    TRY(change_times(file, in));
  op.where.reidentify(file);
  return reply_attributes(op, TRY(status_at(file.fd(), "")), file.tree().policy().exclusive);
}

answer<void> statfs(operation& op) {
  fuse_statfs_out out{};
  out.st.namelen = sharefs::max_name_length;
  out.st.bsize = 4096;
  if (is_virtual(op.header.nodeid))
    return op.reply.put(bytes_of(out));
  const auto file = TRY(op.where.resolve(op.header.nodeid));
  struct statfs host {};
  if (::fstatfs(file.fd(), &host) != 0)
    return refuse_errno();
  out.st.blocks = host.f_blocks;
  out.st.bfree = host.f_bfree;
  out.st.bavail = host.f_bavail;
  out.st.files = host.f_files;
  out.st.ffree = host.f_ffree;
  out.st.bsize = static_cast<std::uint32_t>(host.f_bsize);
  out.st.namelen = static_cast<std::uint32_t>(host.f_namelen);
  out.st.frsize = static_cast<std::uint32_t>(host.f_frsize);
  return op.reply.put(bytes_of(out));
}

answer<void> setxattr(operation& op) {
  const auto size = TRY(op.args.take<std::uint32_t>());
  const auto flags = TRY(op.args.take<std::uint32_t>());
  if (op.where.agreed().has(FUSE_SETXATTR_EXT))
    TRY(op.args.take<std::uint64_t>()); // the ACL flag, and padding
  if (is_virtual(op.header.nodeid))
    return refuse(EROFS);
  const auto name = TRY(xattr_name(op));
  if (size > max_xattr)
    return refuse(E2BIG);
  const auto value = TRY(op.args.bytes(size));
  const auto file = TRY(op.where.resolve_for_change(op.header.nodeid));
  if (::setxattr(proc_path{file.fd()}.c_str(), name.c_str(), value.data(), value.size(),
                 static_cast<int>(flags)) != 0)
    return refuse_errno();
  op.where.reidentify(file);
  return {};
}

answer<void> getxattr(operation& op) {
  const auto in = TRY(op.args.take<fuse_getxattr_in>());
  const auto name = TRY(xattr_name(op));
  if (is_virtual(op.header.nodeid))
    return refuse(ENODATA);
  const auto file = TRY(op.where.resolve(op.header.nodeid));
  std::vector<std::byte> value(std::min<std::size_t>(in.size, max_xattr));
  const auto length =
      ::getxattr(proc_path{file.fd()}.c_str(), name.c_str(), value.data(), value.size());
  if (length < 0)
    return refuse_errno();
  value.resize(static_cast<std::size_t>(length));
  return reply_xattr(op, in.size, value);
}

answer<void> listxattr(operation& op) {
  const auto in = TRY(op.args.take<fuse_getxattr_in>());
  if (is_virtual(op.header.nodeid))
    return reply_xattr(op, in.size, {});
  const auto file = TRY(op.where.resolve(op.header.nodeid));
  std::string names(max_xattr, '\0');
  const auto length = ::listxattr(proc_path{file.fd()}.c_str(), names.data(), names.size());
  if (length < 0)
    return refuse_errno();
  names.resize(static_cast<std::size_t>(length));
  return reply_xattr(op, in.size, text_bytes(open_names(names)));
}

answer<void> removexattr(operation& op) {
  if (is_virtual(op.header.nodeid))
    return refuse(EROFS);
  const auto name = TRY(xattr_name(op));
  const auto file = TRY(op.where.resolve_for_change(op.header.nodeid));
  if (::removexattr(proc_path{file.fd()}.c_str(), name.c_str()) != 0)
    return refuse_errno();
  return {};
}

} // namespace troupe::fuse
