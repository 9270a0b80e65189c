#include "actors/sandbox/pod/listener.hpp"

#include "messages/vocabulary/units.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

namespace troupe::pod {
namespace {

constexpr milliseconds lock_patience{3000};
constexpr milliseconds lock_step{5};

outcome<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(errc::invalid_argument, "socket {}: path of {} bytes, at most {} fit", path,
                path.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

outcome<unique_fd> take_lock(const std::string& path) {
  unique_fd lock{::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!lock)
    return fail_errno("open " + path, errno);
  const auto end = monotonic_clock::now() + lock_patience;
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return fail_errno("flock " + path, errno);
    if (monotonic_clock::now() >= end)
      return fail(errc::deadline_exceeded, "start: another start of this pod holds {}", path);
    std::this_thread::sleep_for(lock_step);
  }
  return lock;
}

outcome<unique_fd> new_socket() {
  unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd)
    return fail_errno("socket", errno);
  return fd;
}

outcome<bool> somebody_answers(const sockaddr_un& address) {
  const auto probe = TRY(new_socket());
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  return ::connect(probe.get(), name, sizeof address) == 0;
}

} // namespace

outcome<listening> listen_or_find(const std::string& path) {
  const auto address = TRY(address_of(path));
  listening out;
  out.lock = TRY(take_lock(path + ".lock"));
  if (TRY(somebody_answers(address)))
    return out;
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail_errno("unlink stale socket " + path, errno);
  auto socket = TRY(new_socket());
  // The mode must be right from the first moment: fchmod before bind sets the inode's mode.
  if (::fchmod(socket.get(), 0600) != 0)
    return fail_errno("fchmod socket", errno);
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(socket.get(), name, sizeof address) != 0)
    return fail_errno("bind " + path, errno);
  if (::listen(socket.get(), listen_backlog) != 0)
    return fail_errno("listen " + path, errno);
  out.socket = std::move(socket);
  return out;
}

} // namespace troupe::pod
