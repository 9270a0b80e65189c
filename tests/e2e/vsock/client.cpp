#include "tests/e2e/vsock/client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace troupe::testing {
namespace {

constexpr int patience_ms = 60'000;

[[noreturn]] void broken(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_un address(const std::string& path) {
  sockaddr_un it{};
  it.sun_family = AF_UNIX;
  path.copy(it.sun_path, sizeof(it.sun_path) - 1);
  return it;
}

unique_fd stream() {
  unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const timeval limit{patience_ms / 1000, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  return fd;
}

} // namespace

std::string read_line(int fd) {
  std::string text;
  for (char c = 0;;) {
    const auto n = ::read(fd, &c, 1);
    if (n < 0 && errno != ECONNRESET)
      broken("read a line");
    if (n <= 0 || c == '\n')
      return text;
    text.push_back(c);
  }
}

void write_all(int fd, const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const auto n = ::send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n <= 0)
      broken("send");
    done += static_cast<std::size_t>(n);
  }
}

vsock_client::vsock_client(const std::string& path, std::uint32_t port) : fd_(stream()) {
  const auto where = address(path);
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0)
    broken("connect to the hybrid socket");
  write_all(fd_.get(), "connect " + std::to_string(port) + "\n");
  greeting_ = read_line(fd_.get());
  connected_ = greeting_.starts_with("OK ");
}

void vsock_client::send(const std::string& bytes) {
  write_all(fd_.get(), bytes);
}

void vsock_client::end_writing() {
  ::shutdown(fd_.get(), SHUT_WR);
}

std::string vsock_client::line() {
  return read_line(fd_.get());
}

std::ptrdiff_t vsock_client::read_some(char* into, std::size_t size) {
  const auto n = ::read(fd_.get(), into, size);
  if (n < 0 && errno != ECONNRESET)
    broken("read");
  return n;
}

std::string vsock_client::rest(std::size_t limit) {
  std::string text;
  char buffer[4096];
  while (text.size() < limit) {
    const auto n = read_some(buffer, sizeof(buffer));
    if (n <= 0)
      break;
    text.append(buffer, static_cast<std::size_t>(n));
  }
  return text;
}

vsock_host_listener::vsock_host_listener(const std::string& path, std::uint32_t port)
    : path_(path + "_" + std::to_string(port)), fd_(stream()) {
  const auto where = address(path_);
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0 ||
      ::listen(fd_.get(), 8) != 0)
    broken("listen for the guest");
}

vsock_host_listener::~vsock_host_listener() {
  ::unlink(path_.c_str());
}

unique_fd vsock_host_listener::accept() {
  pollfd ready{fd_.get(), POLLIN, 0};
  if (::poll(&ready, 1, patience_ms) != 1)
    throw std::runtime_error("the guest did not connect");
  return unique_fd{::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
}

} // namespace troupe::testing
