#include "guest/agent/boot/listen.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace troupe::guest {
namespace {

constexpr std::string_view vsock_scheme = "vsock://";
constexpr std::string_view unix_scheme = "unix://";

outcome<server_address> parse_vsock(std::string_view whole, std::string_view text) {
  const auto bad = [whole] {
    return fail(errc::invalid_argument, "server address: '{}' is not vsock://CID:PORT", whole);
  };
  const auto colon = text.find(':');
  if (colon == std::string_view::npos)
    return bad();
  const auto cid = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  std::int64_t cid_value = 0;
  vsock_address address;
  const auto c = std::from_chars(cid.data(), cid.data() + cid.size(), cid_value);
  const auto p = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (c.ec != std::errc{} || c.ptr != cid.data() + cid.size() || p.ec != std::errc{} ||
      p.ptr != port.data() + port.size() || cid_value < -1 || cid_value > UINT32_MAX)
    return bad();
  address.cid = static_cast<std::uint32_t>(cid_value); // -1 becomes VMADDR_CID_ANY
  return address;
}

outcome<unique_fd> bind_and_listen(int family, const sockaddr* name, socklen_t length,
                                   int backlog) {
  unique_fd fd{::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd)
    return fail_errno("server address: socket", errno);
  if (::bind(fd.get(), name, length) != 0)
    return fail_errno("server address: bind", errno);
  if (::listen(fd.get(), backlog) != 0)
    return fail_errno("server address: listen", errno);
  return fd;
}

outcome<unique_fd> listen_vsock(const vsock_address& where, int backlog) {
  sockaddr_vm name{};
  name.svm_family = AF_VSOCK;
  name.svm_cid = where.cid;
  name.svm_port = where.port;
  return bind_and_listen(AF_VSOCK, reinterpret_cast<const sockaddr*>(&name), sizeof name, backlog);
}

outcome<unique_fd> listen_unix(const unix_address& where, int backlog) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, where.path.data(), where.path.size()); // bounded by the parser
  auto length = offsetof(sockaddr_un, sun_path) + where.path.size();
  if (where.path.front() == '@')
    name.sun_path[0] = '\0';
  else {
    ::unlink(where.path.c_str());
    length += 1;
  }
  return bind_and_listen(AF_UNIX, reinterpret_cast<const sockaddr*>(&name),
                         static_cast<socklen_t>(length), backlog);
}

} // namespace

outcome<server_address> parse_server_address(std::string_view text) {
  if (text.starts_with(vsock_scheme))
    return parse_vsock(text, text.substr(vsock_scheme.size()));
  if (!text.starts_with(unix_scheme))
    return fail(errc::invalid_argument, "server address: '{}' has no known scheme", text);
  const auto path = text.substr(unix_scheme.size());
  if (path.size() < 2 || path.size() >= sizeof(sockaddr_un::sun_path) ||
      (path.front() != '/' && path.front() != '@'))
    return fail(errc::invalid_argument, "server address: '{}' is not an absolute path", text);
  return unix_address{std::string{path}};
}

outcome<unique_fd> listen_on(const server_address& where, int backlog) {
  if (const auto* vsock = std::get_if<vsock_address>(&where))
    return listen_vsock(*vsock, backlog);
  return listen_unix(std::get<unix_address>(where), backlog);
}

std::string describe(const server_address& where) {
  if (const auto* vsock = std::get_if<vsock_address>(&where))
    return fmt::format("vsock {}", vsock->port);
  return fmt::format("unix {}", std::get<unix_address>(where).path);
}

} // namespace troupe::guest
