#include "actors/devices/virtio/vsock/host_side.hpp"

#include "actors/devices/unix_socket.hpp"
#include "actors/devices/virtio/vsock/socket_stream.hpp"
#include "messages/vocabulary/log.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace troupe::vsock {
namespace {

constexpr const char* who = "vsock/host";

// After accept failed for want of descriptors: the client is still there and would be seen at once.
constexpr milliseconds accept_pause{100};

} // namespace

host_side::host_side(endpoint& where, devices::worker& loop, client on_client)
    : where_(where), loop_(loop), on_client_(std::move(on_client)) {}

host_side::~host_side() {
  for (const auto& [id, it] : handshakes_) {
    loop_.unwatch(it.watch);
    loop_.cancel(it.timer);
  }
  loop_.unwatch(listener_watch_);
  loop_.cancel(retry_timer_);
}

outcome<void> host_side::start() {
  listener_watch_ =
      TRY(loop_.watch(who, where_.listener.get(), EPOLLIN, [this](std::uint32_t) { accept(); }));
  return {};
}

void host_side::accepting(bool yes) noexcept {
  accepting_ = yes;
  update_listener();
}

void host_side::update_listener() noexcept {
  const auto open = accepting_ && retry_timer_ == 0 && handshakes_.size() < handshakes_max;
  (void)loop_.rewatch(listener_watch_, open ? static_cast<std::uint32_t>(EPOLLIN) : 0U);
}

void host_side::accept() {
  auto fd = devices::accept_unix(where_.listener.get());
  if (!fd) {
    log::warn(who, "{}", fd.error().text);
    if (fd.error().code == errc::host_io)
      retry_later();
    return;
  }
  if (*fd)
    begin(*std::move(fd));
}

void host_side::retry_later() {
  retry_timer_ = loop_.after(who, accept_pause, [this] {
    retry_timer_ = 0;
    update_listener();
  });
  update_listener();
}

void host_side::begin(unique_fd fd) {
  const auto id = next_id_++;
  auto watch = loop_.watch(who, fd.get(), EPOLLIN, [this, id](std::uint32_t) { advance(id); });
  if (!watch)
    return log::warn(who, "{}", watch.error().text);
  const auto timer = loop_.after(who, handshake_limit, [this, id] { finish(id); });
  handshakes_.emplace(id, handshake{.fd = std::move(fd), .watch = *watch, .timer = timer});
  update_listener();
}

void host_side::advance(std::uint64_t id) {
  auto& it = handshakes_.at(id);
  const auto whole = read_line(it);
  if (whole && !*whole)
    return;
  const auto port =
      whole ? parse_connect({it.line.data(), it.filled - 1}) : tl::unexpected(whole.error());
  auto fd = std::move(it.fd);
  loop_.unwatch(it.watch); // While the descriptor is open.
  finish(id);
  if (!port)
    return log::debug(who, "{}", port.error().text);
  on_client_(*port, std::make_unique<socket_stream>(std::move(fd), loop_));
}

// True once the line ends with its newline. What follows it stays in the socket: it is data
// already.
outcome<bool> host_side::read_line(handshake& it) {
  auto* const free = it.line.data() + it.filled;
  const auto peeked = ::recv(it.fd.get(), free, it.line.size() - it.filled, MSG_PEEK);
  if (peeked < 0 && (errno == EAGAIN || errno == EINTR))
    return false;
  if (peeked <= 0)
    return fail(errc::peer_fault, "vsock handshake: the client left");
  const auto* const end = std::find(free, free + peeked, '\n');
  const auto whole = end != free + peeked;
  const auto wanted = static_cast<std::size_t>(end - free) + (whole ? 1 : 0);
  if (::recv(it.fd.get(), free, wanted, 0) != static_cast<ssize_t>(wanted))
    return fail_errno("receive a vsock handshake", errno);
  it.filled += wanted;
  if (!whole && it.filled == it.line.size())
    return fail(errc::peer_fault, "vsock handshake: no line within {} bytes", it.line.size());
  return whole;
}

void host_side::finish(std::uint64_t id) {
  const auto it = handshakes_.find(id);
  if (it == handshakes_.end())
    return;
  loop_.unwatch(it->second.watch);
  loop_.cancel(it->second.timer);
  handshakes_.erase(it);
  update_listener();
}

outcome<std::unique_ptr<stream>> host_side::dial(std::uint32_t port) {
  auto fd = TRY(devices::connect_unix(fmt::format("{}_{}", where_.path, port)));
  return std::make_unique<socket_stream>(std::move(fd), loop_);
}

} // namespace troupe::vsock
