// Runs as init of a test guest in the agent's place and behaves badly: `false_agent=garbage` on the
// kernel command line answers with bytes that are no protocol, `silent` takes everything and never
// answers, `deaf` does not even listen.
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr unsigned agent_port = 1024;

int listening() {
  sockaddr_vm name{};
  name.svm_family = AF_VSOCK;
  name.svm_cid = VMADDR_CID_ANY;
  name.svm_port = agent_port;
  const int fd = ::socket(AF_VSOCK, SOCK_STREAM, 0);
  if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
      ::listen(fd, 16) != 0) {
    std::perror("false agent: listen");
    return -1;
  }
  return fd;
}

void say_garbage(int peer) {
  std::array<char, 4096> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(i * 37 + 11); // the first four are no length of a frame
  (void)::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

} // namespace

int main() {
  const char* how = std::getenv("false_agent");
  const bool garbage = how != nullptr && std::strcmp(how, "garbage") == 0;
  const int fd = how != nullptr && std::strcmp(how, "deaf") == 0 ? -1 : listening();
  std::puts("false agent: up");
  std::fflush(stdout);
  for (;;) {
    const int peer = fd < 0 ? -1 : ::accept(fd, nullptr, nullptr);
    if (peer < 0)
      ::pause();
    else if (garbage)
      say_garbage(peer); // and keeps the connection
  }
}
