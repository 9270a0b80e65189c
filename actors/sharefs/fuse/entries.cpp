#include "actors/sharefs/fuse/operation.hpp"

#include <fmt/format.h>

namespace troupe::fuse {
namespace {

/// Set in the node number of a directory of the share root; host files count up from 2.
constexpr std::uint64_t virtual_bit = std::uint64_t{1} << 63;
/// Seconds that the guest may believe what it was told of a tree that nobody else changes.
constexpr std::uint64_t exclusive_validity = 86'400;
/// The same where the host changes things, too.
constexpr std::uint64_t shared_validity = 1;

/// Linux's 32-bit device number as FUSE carries it.
std::uint32_t encode_device(std::uint32_t major, std::uint32_t minor) noexcept {
  return (minor & 0xffU) | (major << 8U) | ((minor & ~0xffU) << 12U);
}

} // namespace

bool is_virtual(std::uint64_t node) noexcept {
  return node == root_node || (node & virtual_bit) != 0;
}

std::uint64_t directory_of(std::uint64_t node) noexcept {
  return node & ~virtual_bit;
}

std::uint64_t virtual_node(std::uint64_t directory) noexcept {
  return directory == sharefs::share_root::top ? root_node : directory | virtual_bit;
}

fuse_attr attributes_of(const struct statx& status) noexcept {
  fuse_attr attr{};
  attr.ino = status.stx_ino;
  attr.size = status.stx_size;
  attr.blocks = status.stx_blocks;
  attr.atime = static_cast<std::uint64_t>(status.stx_atime.tv_sec);
  attr.mtime = static_cast<std::uint64_t>(status.stx_mtime.tv_sec);
  attr.ctime = static_cast<std::uint64_t>(status.stx_ctime.tv_sec);
  attr.atimensec = status.stx_atime.tv_nsec;
  attr.mtimensec = status.stx_mtime.tv_nsec;
  attr.ctimensec = status.stx_ctime.tv_nsec;
  attr.mode = status.stx_mode;
  attr.nlink = status.stx_nlink;
  attr.uid = status.stx_uid;
  attr.gid = status.stx_gid;
  attr.rdev = encode_device(status.stx_rdev_major, status.stx_rdev_minor);
  attr.blksize = status.stx_blksize;
  return attr;
}

fuse_attr virtual_attributes(std::uint64_t node) noexcept {
  fuse_attr attr{};
  attr.ino = node;
  attr.mode = S_IFDIR | 0555;
  attr.nlink = 2;
  attr.blksize = 4096;
  return attr;
}

answer<fuse_entry_out> enter(operation& op, const located& parent, std::string_view name,
                             const struct statx& status) {
  fuse_entry_out entry{};
  entry.attr = attributes_of(status);
  if (status.stx_mnt_id != parent.mount && S_ISDIR(status.stx_mode))
    entry.attr.flags = FUSE_ATTR_SUBMOUNT;
  entry.attr_valid = parent.tree().policy().exclusive ? exclusive_validity : shared_validity;
  entry.entry_valid = entry.attr_valid;
  entry.nodeid = TRY(op.where.enter(parent, name, status));
  return entry;
}

answer<fuse_entry_out> enter(operation& op, const sharefs::share_root::entry& found) {
  fuse_entry_out entry{};
  entry.entry_valid = shared_validity; // else each absolute path would ask twice, for "<c>/rootfs"
  entry.attr_valid = shared_validity;
  if (!found.tree) {
    entry.nodeid = virtual_node(found.directory);
    entry.attr = virtual_attributes(entry.nodeid);
    return entry;
  }
  const auto status = TRY(status_at(found.tree->root(), ""));
  entry.attr = attributes_of(status);
  if (S_ISDIR(status.stx_mode))
    entry.attr.flags = FUSE_ATTR_SUBMOUNT;
  entry.nodeid = TRY(op.where.enter(found.tree, status));
  return entry;
}

answer<void> reply_entry(operation& op, const located& parent, const std::string& name) {
  const auto status = TRY(status_at(parent.fd(), name.c_str()));
  const auto entry = TRY(enter(op, parent, name, status));
  return op.reply.put(bytes_of(entry));
}

proc_path::proc_path(int fd) {
  fmt::format_to_n(text_.data(), text_.size() - 1, "/proc/self/fd/{}", fd);
}

} // namespace troupe::fuse
