#include "actors/devices/unix_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace troupe::devices {
namespace {

constexpr int stream = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

outcome<sockaddr_un> address(const std::string& path) {
  sockaddr_un it{};
  it.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(it.sun_path))
    return fail(errc::invalid_argument, "socket path of {} bytes: {}", path.size(), path);
  std::memcpy(it.sun_path, path.data(), path.size());
  return it;
}

outcome<unique_fd> open_stream() {
  unique_fd fd{::socket(AF_UNIX, stream, 0)};
  if (!fd)
    return fail_errno("create unix socket", errno);
  return fd;
}

} // namespace

outcome<unique_fd> listen_unix(const std::string& path, int backlog) {
  const auto where = TRY(address(path));
  auto fd = TRY(open_stream());
  // On Linux the mode of the unbound socket becomes that of the file: no moment with a wider one.
  if (::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0)
    return fail_errno("restrict socket " + path, errno);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) {
    if (errno == EADDRINUSE)
      return fail(errc::already_exists, "socket {} exists", path);
    return fail_errno("bind socket " + path, errno);
  }
  if (::listen(fd.get(), backlog) != 0)
    return fail_errno("listen on socket " + path, errno);
  return fd;
}

outcome<unique_fd> accept_unix(int listener) {
  unique_fd fd{::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
  if (!fd) {
    if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
      return unique_fd{};
    return fail_errno("accept on unix socket", errno);
  }
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return fail_errno("credentials of a unix peer", errno);
  if (peer.uid != 0 && peer.uid != ::geteuid())
    return fail(errc::permission_denied, "unix peer: user {} is not ours", peer.uid);
  return fd;
}

outcome<unique_fd> connect_unix(const std::string& path) {
  const auto where = TRY(address(path));
  auto fd = TRY(open_stream());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0)
    return fail_errno("connect to socket " + path, errno);
  return fd;
}

} // namespace troupe::devices
