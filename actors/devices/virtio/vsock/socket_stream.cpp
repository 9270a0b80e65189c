#include "actors/devices/virtio/vsock/socket_stream.hpp"

#include "messages/vocabulary/log.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace troupe::vsock {
namespace {

msghdr head_of(std::span<const iovec> parts) {
  msghdr head{};
  head.msg_iov = const_cast<iovec*>(parts.data());
  head.msg_iovlen = std::min<std::size_t>(parts.size(), IOV_MAX);
  return head;
}

transfer result_of(ssize_t count) {
  using enum transfer::end;
  if (count > 0)
    return {moved, static_cast<std::size_t>(count)};
  if (count == 0)
    return {ended, 0};
  return {errno == EAGAIN || errno == EINTR ? blocked : broken, 0};
}

} // namespace

transfer socket_stream::read(std::span<const iovec> into) {
  auto head = head_of(into);
  return result_of(::recvmsg(fd_.get(), &head, 0));
}

transfer socket_stream::write(std::span<const iovec> from) {
  const auto head = head_of(from);
  return result_of(::sendmsg(fd_.get(), &head, MSG_NOSIGNAL));
}

void socket_stream::end_writing() noexcept {
  (void)::shutdown(fd_.get(), SHUT_WR);
}

void socket_stream::end_reading() noexcept {
  (void)::shutdown(fd_.get(), SHUT_RD);
}

void socket_stream::watch(bool readable, bool writable) {
  const std::uint32_t events = (readable ? static_cast<std::uint32_t>(EPOLLIN) : 0U) |
                               (writable ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
  if (hung_up_ || (watch_ != 0 && events == events_))
    return;
  events_ = events;
  if (watch_ != 0) {
    if (const auto done = loop_.rewatch(watch_, events); !done)
      log::error("vsock", "{}", done.error().text);
    return;
  }
  const auto id =
      loop_.watch("vsock/stream", fd_.get(), events, [this](std::uint32_t what) { ready(what); });
  if (id)
    watch_ = *id;
  else
    log::error("vsock", "{}", id.error().text);
}

void socket_stream::ready(std::uint32_t events) {
  readiness what;
  what.readable = (events & EPOLLIN) != 0;
  what.writable = (events & EPOLLOUT) != 0;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    what.hung_up = hung_up_ = true;
    unwatch(); // It would be told again and again.
  }
  tell(what); // May end this object.
}

void socket_stream::unwatch() noexcept {
  if (watch_ != 0)
    loop_.unwatch(watch_);
  watch_ = 0;
}

} // namespace troupe::vsock
