#pragma once

#include "actors/sharefs/fuse/session.hpp"

#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace troupe::fuse {

/// Serves one FUSE request of a guest: reads it from `request`, leaves the reply in `reply`, both
/// lists of buffers in guest memory. Keeps nothing of its own; what lasts is in `where`.
///
/// Everything the request says is a guest's claim and bounded here; nothing it says makes this
/// throw or touch anything outside the shares. A handler that throws costs its request an EIO and
/// nothing else. Any number of threads may serve one session; each has called
/// prepare_worker_thread().
/// @returns the bytes of the reply; 0 when there is none (FORGET, or no room for a reply's header).
/// Protocol: include/uapi/linux/fuse.h, 7.31 ... 7.38.
[[nodiscard]] std::size_t serve(session& where, std::span<const iovec> request,
                                std::span<const iovec> reply) noexcept;

/// Whether the host's file system may need long for a request: it waits for a disk, moves much, or
/// closes what may be the last of a large deleted file. A hint, by bytes that the guest may change.
[[nodiscard]] bool may_take_long(std::span<const iovec> request) noexcept;

/// Answers a request with `error` without looking further into it: one that broke its worker
/// before.
[[nodiscard]] std::size_t serve_error(std::span<const iovec> request, std::span<const iovec> reply,
                                      int error) noexcept;

} // namespace troupe::fuse
