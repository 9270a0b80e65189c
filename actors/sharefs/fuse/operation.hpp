#pragma once

#include "actors/sharefs/fuse/session.hpp"

#include <linux/fuse.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::fuse {

/// One request on its way through a handler.
struct operation {
  session& where;
  const fuse_in_header& header;
  arguments args;    ///< Behind the header; copied, so that the guest cannot change them any more.
  scatter payload;   ///< The data of a WRITE, still in guest memory.
  reply_room reply;  ///< Behind the reply's header.
};

/// A handler fills op.reply, or says which errno the guest gets.
using handler = answer<void> (*)(operation&);

// Handlers by theme, one per opcode; each needs the locks and credentials of its row in server.cpp.

// handshake.cpp
answer<void> init(operation& op);
answer<void> destroy(operation& op);

// names.cpp
answer<void> lookup(operation& op);
answer<void> forget(operation& op);
answer<void> batch_forget(operation& op);
answer<void> readlink(operation& op);
answer<void> symlink(operation& op);
answer<void> mknod(operation& op);
answer<void> mkdir(operation& op);
answer<void> link(operation& op);
answer<void> unlink(operation& op);
answer<void> rmdir(operation& op);
answer<void> rename(operation& op);
answer<void> rename2(operation& op);

// attributes.cpp
answer<void> getattr(operation& op);
answer<void> setattr(operation& op);
answer<void> statfs(operation& op);
answer<void> setxattr(operation& op);
answer<void> getxattr(operation& op);
answer<void> listxattr(operation& op);
answer<void> removexattr(operation& op);

// files.cpp
answer<void> open(operation& op);
answer<void> create(operation& op);
answer<void> read(operation& op);
answer<void> write(operation& op);
answer<void> release(operation& op);
answer<void> flush(operation& op);
answer<void> fsync(operation& op);
answer<void> fallocate(operation& op);
answer<void> lseek(operation& op);
answer<void> copy_file_range(operation& op);
answer<void> syncfs(operation& op);

// directories.cpp
answer<void> opendir(operation& op);
answer<void> readdir(operation& op);
answer<void> readdirplus(operation& op);

// Shared by handlers; entries.cpp.

/// Whether a node number is one of a directory of the share root, not of a host file.
[[nodiscard]] bool is_virtual(std::uint64_t node) noexcept;
[[nodiscard]] std::uint64_t directory_of(std::uint64_t virtual_node) noexcept;
[[nodiscard]] std::uint64_t virtual_node(std::uint64_t directory) noexcept;

[[nodiscard]] fuse_attr attributes_of(const struct statx& status) noexcept;
[[nodiscard]] fuse_attr virtual_attributes(std::uint64_t node) noexcept;

/// The reply to whatever makes the guest know a file, the file being entered with it.
[[nodiscard]] answer<fuse_entry_out> enter(operation& op, const located& parent,
                                           std::string_view name, const struct statx& status);
/// The same for an entry of a virtual directory.
[[nodiscard]] answer<fuse_entry_out> enter(operation& op,
                                           const sharefs::share_root::entry& entry);
/// Looks `name` up in `parent`, enters it, and puts the entry into the reply.
[[nodiscard]] answer<void> reply_entry(operation& op, const located& parent,
                                       const std::string& name);

/// "/proc/self/fd/N": leads to exactly the file of an O_PATH descriptor, for the system calls that
/// take no such descriptor.
class proc_path {
public:
  explicit proc_path(int fd);
  [[nodiscard]] const char* c_str() const noexcept { return text_.data(); }

private:
  std::array<char, 32> text_{};
};

} // namespace troupe::fuse
