#include "actors/sharefs/fuse/server.hpp"

#include "actors/sharefs/fuse/credentials.hpp"
#include "actors/sharefs/fuse/operation.hpp"
#include "messages/vocabulary/log.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <mutex>
#include <shared_mutex>
#include <utility>

namespace troupe::fuse {
namespace {

enum class names : std::uint8_t {
  untouched, ///< Works on open files; may block in the host's file system for long.
  followed,  ///< Finds nodes by their names.
  changed,   ///< Renames or deletes.
};
enum class duration : std::uint8_t { quick, long_maybe };
enum class who : std::uint8_t { server, caller };

/// What an opcode needs around its handler.
struct row {
  std::uint32_t opcode = 0;
  handler handle = nullptr;
  names use = names::untouched;
  who acts = who::server;
  std::size_t least_reply = 0; ///< Room without which nothing is even begun.
  duration lasts = duration::quick;
  bool answered = true;
};

constexpr std::size_t entry_size = sizeof(fuse_entry_out);

/// What is not here gets ENOSYS, by which the guest's kernel learns not to ask again: locks and
/// INTERRUPT (kept in the guest), ACCESS (it checks modes itself), BMAP, POLL, DAX, TMPFILE.
constexpr std::array rows{
    row{FUSE_LOOKUP, lookup, names::followed, who::server, entry_size},
    row{FUSE_FORGET, forget, names::untouched, who::server, 0, duration::long_maybe, false},
    row{FUSE_BATCH_FORGET, batch_forget, names::untouched, who::server, 0, duration::long_maybe,
        false},
    row{FUSE_GETATTR, getattr, names::followed, who::server, sizeof(fuse_attr_out)},
    row{FUSE_SETATTR, setattr, names::followed, who::caller, sizeof(fuse_attr_out)},
    row{FUSE_READLINK, readlink, names::followed},
    row{FUSE_SYMLINK, symlink, names::followed, who::caller, entry_size},
    row{FUSE_MKNOD, mknod, names::followed, who::caller, entry_size},
    row{FUSE_MKDIR, mkdir, names::followed, who::caller, entry_size},
    row{FUSE_UNLINK, unlink, names::changed, who::caller},
    row{FUSE_RMDIR, rmdir, names::changed, who::caller},
    row{FUSE_RENAME, rename, names::changed, who::caller},
    row{FUSE_RENAME2, rename2, names::changed, who::caller},
    row{FUSE_LINK, link, names::followed, who::caller, entry_size},
    row{FUSE_OPEN, open, names::followed, who::caller, sizeof(fuse_open_out)},
    row{FUSE_CREATE, create, names::followed, who::caller, entry_size + sizeof(fuse_open_out)},
    row{FUSE_READ, read},
    row{FUSE_WRITE, write, names::untouched, who::caller, sizeof(fuse_write_out)},
    row{FUSE_STATFS, statfs, names::followed, who::server, sizeof(fuse_statfs_out)},
    row{FUSE_RELEASE, release, names::untouched, who::server, 0, duration::long_maybe},
    row{FUSE_RELEASEDIR, release},
    row{FUSE_FSYNC, fsync, names::untouched, who::server, 0, duration::long_maybe},
    row{FUSE_FSYNCDIR, fsync, names::untouched, who::server, 0, duration::long_maybe},
    row{FUSE_FLUSH, flush, names::untouched, who::server, 0, duration::long_maybe},
    row{FUSE_SETXATTR, setxattr, names::followed, who::caller},
    row{FUSE_GETXATTR, getxattr, names::followed},
    row{FUSE_LISTXATTR, listxattr, names::followed},
    row{FUSE_REMOVEXATTR, removexattr, names::followed, who::caller},
    row{FUSE_INIT, init, names::untouched, who::server, sizeof(fuse_init_out)},
    row{FUSE_DESTROY, destroy},
    row{FUSE_OPENDIR, opendir, names::followed, who::server, sizeof(fuse_open_out)},
    row{FUSE_READDIR, readdir},
    row{FUSE_READDIRPLUS, readdirplus, names::followed},
    row{FUSE_FALLOCATE, fallocate, names::untouched, who::caller, 0, duration::long_maybe},
    row{FUSE_LSEEK, lseek, names::untouched, who::server, sizeof(fuse_lseek_out)},
    row{FUSE_COPY_FILE_RANGE, copy_file_range, names::untouched, who::caller,
        sizeof(fuse_write_out), duration::long_maybe},
    row{FUSE_SYNCFS, syncfs, names::followed, who::server, 0, duration::long_maybe},
};

const row* row_of(std::uint32_t opcode) noexcept {
  const auto found = std::ranges::find(rows, opcode, &row::opcode);
  return found == rows.end() ? nullptr : &*found;
}

/// Before INIT nothing but INIT is answered.
answer<void> check_turn(session& where, std::uint32_t opcode) {
  if (opcode != FUSE_INIT && where.agreed().minor == 0)
    return refuse(EPROTO);
  return {};
}

answer<void> run_locked(const row& what, operation& op) {
  switch (what.use) {
  case names::followed: {
    const std::shared_lock still{op.where.moving()};
    return what.handle(op);
  }
  case names::changed: {
    const std::scoped_lock alone{op.where.moving()};
    return what.handle(op);
  }
  case names::untouched:
    break;
  }
  return what.handle(op);
}

answer<void> run(const row& what, operation& op) {
  TRY(check_turn(op.where, op.header.opcode));
  if (op.reply.left() < what.least_reply)
    return refuse(EINVAL);
  if (what.acts == who::server)
    return run_locked(what, op);
  const acting_as caller{op.header.uid, op.header.gid};
  TRY(caller.check());
  return run_locked(what, op);
}

/// The catch boundary: an exception (memory, mostly) fails one request.
answer<void> run_caught(const row& what, operation& op) noexcept {
  try {
    return run(what, op);
  } catch (const std::exception& thrown) {
    log::error("sharefs/fuse", "request of opcode {} threw: {}", op.header.opcode, thrown.what());
  } catch (...) {
    log::error("sharefs/fuse", "request of opcode {} threw", op.header.opcode);
  }
  return refuse(EIO);
}

/// The part of the request to copy: all of it but the data of a WRITE.
std::size_t copied_length(const fuse_in_header& header) noexcept {
  constexpr auto before_data = sizeof(fuse_in_header) + sizeof(fuse_write_in);
  return header.opcode == FUSE_WRITE ? std::min<std::size_t>(header.len, before_data) : header.len;
}

std::size_t finish(const scatter& reply, std::uint64_t unique, const answer<void>& result,
                   std::size_t body) {
  fuse_out_header header{};
  header.unique = unique;
  header.error = result ? 0 : -static_cast<int>(result.error());
  header.len = static_cast<std::uint32_t>(sizeof header + (result ? body : 0));
  reply.copy_from(bytes_of(header));
  return header.len;
}

/// A request's header, or nothing when the guest sent less than one.
answer<fuse_in_header> header_of(const scatter& request) {
  std::array<std::byte, sizeof(fuse_in_header)> head{};
  if (request.copy_to(head) < head.size())
    return refuse(EINVAL);
  return arguments{head}.take<fuse_in_header>();
}

std::size_t finish_error(const scatter& reply, std::uint64_t unique, int error) {
  return reply.size() < sizeof(fuse_out_header) ? 0 : finish(reply, unique, refuse(error), 0);
}

std::size_t serve_checked(session& where, const scatter& request, const scatter& reply) {
  const auto header = header_of(request);
  if (!header)
    return finish_error(reply, 0, EINVAL);
  const auto* const what = row_of(header->opcode);
  if (!what)
    return finish_error(reply, header->unique, ENOSYS);
  if (what->answered && reply.size() < sizeof(fuse_out_header))
    return 0;
  const auto length = copied_length(*header);
  if (header->len < sizeof *header || header->len > request.size() || length > max_request)
    return what->answered ? finish_error(reply, header->unique, EINVAL) : 0;
  std::vector<std::byte> copy(length);
  request.copy_to(copy);
  operation op{where, *header, arguments{std::span{copy}.subspan(sizeof *header)},
               request.part(length, header->len - length),
               reply_room{reply.part(sizeof(fuse_out_header), reply.size())}};
  const auto result = run_caught(*what, op);
  return what->answered ? finish(reply, header->unique, result, op.reply.used()) : 0;
}

} // namespace

std::size_t serve(session& where, std::span<const iovec> request,
                  std::span<const iovec> reply) noexcept {
  try {
    return serve_checked(where, scatter{request}, scatter{reply});
  } catch (...) {
    return 0; // no memory even to say so
  }
}

bool may_take_long(std::span<const iovec> request) noexcept {
  try {
    const auto header = header_of(scatter{request});
    const auto* const what = header ? row_of(header->opcode) : nullptr;
    return what && what->lasts == duration::long_maybe;
  } catch (...) {
    return true; // no memory to look
  }
}

std::size_t serve_error(std::span<const iovec> request, std::span<const iovec> reply,
                        int error) noexcept {
  try {
    const auto header = header_of(scatter{request});
    return finish_error(scatter{reply}, header ? header->unique : 0, error);
  } catch (...) {
    return 0;
  }
}

} // namespace troupe::fuse
