#include "guest/agent/launch/sync.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace troupe::guest {
namespace {

constexpr char ready_word = 'R';
constexpr char failed_word = 'E';
constexpr char go_word = 'G';

/// Room for the one descriptor a message may carry.
struct control_buffer {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> bytes{};
};

unique_fd take_descriptor(msghdr& message) {
  const auto* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS || header->cmsg_level != SOL_SOCKET)
    return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return unique_fd{fd};
}

failure parse_failure(std::string_view body) {
  failure why;
  if (body.empty())
    return why;
  const auto code = static_cast<unsigned char>(body.front());
  why.code = code >= 1 && code <= errc_count ? static_cast<errc>(code) : errc::internal;
  why.text = body.substr(1);
  return why;
}

} // namespace

outcome<sync_pair> make_sync_pair() {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno("start process: socketpair", errno);
  return sync_pair{unique_fd{ends[0]}, unique_fd{ends[1]}};
}

sync_message receive_from_child(int agent_end) {
  std::array<char, max_sync_text + 2> bytes{};
  control_buffer control;
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  const auto got = ::recvmsg(agent_end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return {};
  if (got <= 0)
    return {sync_event::closed, {}, {}};
  sync_message out;
  out.terminal = take_descriptor(message);
  const std::string_view text{bytes.data(), static_cast<std::size_t>(got)};
  out.event = text.front() == ready_word ? sync_event::ready : sync_event::failed;
  if (out.event == sync_event::failed)
    out.why = parse_failure(text.substr(1));
  return out;
}

outcome<void> send_go(int agent_end) {
  if (::send(agent_end, &go_word, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
    return fail_errno("start process: the parked process is gone", errno);
  return {};
}

outcome<void> send_ready(int child_end, int terminal) {
  char word = ready_word;
  control_buffer control;
  iovec part{&word, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (terminal >= 0) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof terminal);
    std::memcpy(CMSG_DATA(header), &terminal, sizeof terminal);
  }
  if (::sendmsg(child_end, &message, MSG_NOSIGNAL) != 1)
    return fail_errno("start process: report readiness", errno);
  return {};
}

void send_failure(int child_end, const failure& why) noexcept {
  std::array<char, max_sync_text + 2> bytes{failed_word, static_cast<char>(why.code)};
  const auto length = std::min(why.text.size(), max_sync_text);
  std::memcpy(bytes.data() + 2, why.text.data(), length);
  (void)::send(child_end, bytes.data(), length + 2, MSG_NOSIGNAL);
}

outcome<void> wait_for_go(int child_end) {
  char word = 0;
  ssize_t got = -1;
  do
    got = ::recv(child_end, &word, 1, 0);
  while (got < 0 && errno == EINTR);
  if (got != 1 || word != go_word)
    return fail(errc::cancelled, "start process: called off");
  return {};
}

} // namespace troupe::guest
