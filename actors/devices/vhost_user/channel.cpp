#include "actors/devices/vhost_user/channel.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace troupe::vhost_user {

outcome<std::optional<message>> channel::receive() {
  if (!TRY(fill()))
    return std::nullopt;
  if (!header_) {
    header_ = TRY(decode_header(buffer_));
    buffer_.resize(header_->size);
    filled_ = 0;
    if (!TRY(fill()))
      return std::nullopt;
  }
  message it;
  it.request = static_cast<wire::request>(header_->request);
  it.need_reply = (header_->flags & wire::flag_need_reply) != 0;
  it.payload = std::exchange(buffer_, bytes(sizeof(wire::header)));
  it.fds = std::exchange(fds_, {});
  header_.reset();
  filled_ = 0;
  return it;
}

outcome<bool> channel::fill() {
  while (filled_ < buffer_.size()) {
    iovec part{buffer_.data() + filled_, buffer_.size() - filled_};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(wire::fds_max * sizeof(int))> control{};
    msghdr head{};
    head.msg_iov = &part;
    head.msg_iovlen = 1;
    head.msg_control = control.data();
    head.msg_controllen = control.size();
    const auto count = ::recvmsg(socket_.get(), &head, MSG_CMSG_CLOEXEC);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      return false;
    if (count < 0)
      return fail_errno("receive from the vhost-user front-end", errno);
    TRY(take_fds(head));
    if (count == 0)
      return fail(errc::cancelled, "the vhost-user front-end hung up");
    filled_ += static_cast<std::size_t>(count);
  }
  return true;
}

outcome<void> channel::take_fds(const msghdr& from) {
  for (auto* it = CMSG_FIRSTHDR(&from); it != nullptr;
       it = CMSG_NXTHDR(const_cast<msghdr*>(&from), it)) {
    if (it->cmsg_level != SOL_SOCKET || it->cmsg_type != SCM_RIGHTS)
      continue;
    const auto count = (it->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(it) + i * sizeof(int), sizeof(fd));
      fds_.emplace_back(fd);
    }
  }
  if ((from.msg_flags & MSG_CTRUNC) != 0 || fds_.size() > wire::fds_max)
    return fail(errc::peer_fault, "vhost-user message with more than {} descriptors",
                wire::fds_max);
  return {};
}

outcome<void> channel::send(std::span<const std::byte> frame) {
  const auto count = ::send(socket_.get(), frame.data(), frame.size(), MSG_NOSIGNAL);
  if (count < 0 && errno != EAGAIN)
    return fail_errno("answer the vhost-user front-end", errno);
  if (count != static_cast<ssize_t>(frame.size()))
    return fail(errc::peer_fault, "the vhost-user front-end does not read its answers");
  return {};
}

} // namespace troupe::vhost_user
