// Runs as init of the test guest: the services of services.hpp over AF_VSOCK, a process for each
// connection, and "READY" on the console when all listen.
#include "tests/e2e/vsock/services.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using namespace troupe::testing;

namespace {

// Shared by all processes.
struct counters {
  std::atomic<std::size_t> after_half_close;
  std::atomic<std::size_t> broken;
};
counters* shared = nullptr;

constexpr std::size_t chunk = 64 * 1024;

const std::vector<char>& pattern_block() {
  static const auto block = [] {
    std::vector<char> bytes(pattern_period + chunk);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<char>(pattern(i));
    return bytes;
  }();
  return block;
}

bool send_all(int fd, const char* from, std::size_t count) {
  for (std::size_t done = 0; done < count;) {
    const auto n = ::send(fd, from + done, count - done, MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

bool say(int fd, const std::string& text) {
  return send_all(fd, text.data(), text.size());
}

std::string read_line(int fd) {
  std::string line;
  for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';)
    line.push_back(c);
  return line;
}

// Calls `use(bytes, count)` until the peer's end. False when it was not an orderly one.
template <class Use>
bool drain(int fd, Use use) {
  static std::array<char, chunk> buffer;
  for (;;) {
    const auto n = ::read(fd, buffer.data(), buffer.size());
    if (n == 0)
      return true;
    if (n < 0)
      return false;
    if (!use(buffer.data(), static_cast<std::size_t>(n)))
      return false;
  }
}

bool echo(int fd) {
  return drain(fd, [&](const char* from, std::size_t n) { return send_all(fd, from, n); });
}

bool sink(int fd) {
  std::size_t count = 0;
  std::size_t errors = 0;
  const auto whole = drain(fd, [&](const char* from, std::size_t n) {
    errors += std::memcmp(from, pattern_block().data() + count % pattern_period, n) != 0 ? 1 : 0;
    count += n;
    return true;
  });
  return say(fd, std::to_string(count) + " " + std::to_string(errors) + "\n") && whole;
}

bool source(int fd) {
  const auto count = std::stoul(read_line(fd));
  for (std::size_t done = 0; done < count;) {
    const auto n = std::min(chunk, count - done);
    if (!send_all(fd, pattern_block().data() + done % pattern_period, n))
      return false;
    done += n;
  }
  return true;
}

std::string dial_host(unsigned port) {
  const auto fd = ::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_vm host{};
  host.svm_family = AF_VSOCK;
  host.svm_cid = VMADDR_CID_HOST;
  host.svm_port = port;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&host), sizeof(host)) != 0)
    return "error " + std::to_string(errno);
  say(fd, "hello host\n");
  const auto heard = read_line(fd);
  ::close(fd);
  return heard;
}

bool half_close(int fd) {
  say(fd, "bye\n");
  ::shutdown(fd, SHUT_WR);
  std::size_t count = 0;
  const auto whole = drain(fd, [&](const char*, std::size_t n) {
    count += n;
    return true;
  });
  shared->after_half_close = count;
  return whole;
}

bool serve(unsigned port, int fd) {
  switch (port) {
  case port_echo:
    return echo(fd);
  case port_sink:
    return sink(fd);
  case port_source:
    return source(fd);
  case port_dial:
    return say(fd, dial_host(static_cast<unsigned>(std::stoul(read_line(fd)))) + "\n");
  case port_half_close:
    return half_close(fd);
  case port_count:
    return say(fd, std::to_string(shared->after_half_close) + "\n");
  default:
    return say(fd, std::to_string(shared->broken) + "\n");
  }
}

int listen_on(unsigned port) {
  const auto fd = ::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_vm any{};
  any.svm_family = AF_VSOCK;
  any.svm_cid = VMADDR_CID_ANY;
  any.svm_port = port;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0 ||
      ::listen(fd, 256) != 0)
    std::printf("listen on %u: %s\n", port, std::strerror(errno));
  return fd;
}

[[noreturn]] void accept_forever(unsigned port, int listener) {
  for (;;) {
    const auto fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0)
      continue;
    if (::fork() == 0) {
      if (!serve(port, fd))
        ++shared->broken;
      ::_exit(0);
    }
    ::close(fd);
  }
}

} // namespace

int main() {
  std::signal(SIGCHLD, SIG_IGN);
  shared = static_cast<counters*>(
      ::mmap(nullptr, sizeof(counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  (void)pattern_block();
  for (const auto port :
       {port_echo, port_sink, port_source, port_dial, port_half_close, port_count, port_broken}) {
    const auto listener = listen_on(port);
    if (::fork() == 0)
      accept_forever(port, listener);
    ::close(listener);
  }
  std::printf("READY\n");
  std::fflush(stdout);
  for (;;)
    ::pause();
}
