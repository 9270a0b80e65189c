#include "actors/sharefs/fuse/operation.hpp"

#include <algorithm>

namespace troupe::fuse {
namespace {

/// The first protocol that a Linux virtio-fs driver ever spoke (5.4).
constexpr std::uint32_t oldest_minor = 31;
constexpr std::uint32_t newest_minor = 38;
/// Requests that the guest may have under way by itself (read-ahead), and where it begins to hold
/// back.
constexpr std::uint16_t max_background = 64;
constexpr std::uint16_t congestion_threshold = 48;

/// What we can do. Not here: locks (the guest keeps them itself), POSIX_ACL, WRITEBACK_CACHE (the
/// host's times and sizes are the truth), DONT_MASK, SECURITY_CTX, DAX. Nor READDIRPLUS_AUTO: libc
/// reads a directory to its end before the program asks for the first file's attributes, so Linux
/// would fall back to one LOOKUP per file; the attributes of a whole page of names cost us less
/// than one of those round trips.
constexpr std::uint64_t offered = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
                                  FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_ASYNC_DIO |
                                  FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS |
                                  FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT |
                                  FUSE_INIT_EXT;

/// The flags the guest offers; the upper half counts only when the guest says that it is there.
answer<std::uint64_t> flags_of(fuse_init_in& asked, arguments& args) {
  asked.flags = TRY(args.take<std::uint32_t>());
  if ((asked.flags & FUSE_INIT_EXT) == 0)
    return asked.flags;
  asked.flags2 = TRY(args.take<std::uint32_t>());
  return asked.flags | std::uint64_t{asked.flags2} << 32;
}

} // namespace

/// Also the start of a guest's second life: whatever an earlier one held is forgotten.
answer<void> init(operation& op) {
  fuse_init_in asked{};
  asked.major = TRY(op.args.take<std::uint32_t>());
  asked.minor = TRY(op.args.take<std::uint32_t>());
  asked.max_readahead = TRY(op.args.take<std::uint32_t>());
  fuse_init_out reply{};
  reply.major = FUSE_KERNEL_VERSION;
  reply.minor = newest_minor;
  if (asked.major > FUSE_KERNEL_VERSION) // it asks again with a version that we speak
    return op.reply.put(bytes_of(reply));
  if (asked.major < FUSE_KERNEL_VERSION || asked.minor < oldest_minor)
    return refuse(EPROTO);
  const agreement agreed{std::min(asked.minor, newest_minor),
                         TRY(flags_of(asked, op.args)) & offered};
  op.where.restart();
  op.where.agree(agreed);
  reply.minor = agreed.minor;
  reply.max_readahead = std::min(asked.max_readahead, max_transfer);
  reply.flags = static_cast<std::uint32_t>(agreed.flags);
  reply.flags2 = static_cast<std::uint32_t>(agreed.flags >> 32);
  reply.max_background = max_background;
  reply.congestion_threshold = congestion_threshold;
  reply.max_write = max_transfer;
  reply.time_gran = 1;
  reply.max_pages = max_transfer / 4096;
  return op.reply.put(bytes_of(reply));
}

answer<void> destroy(operation& op) {
  op.where.restart();
  return {};
}

} // namespace troupe::fuse
