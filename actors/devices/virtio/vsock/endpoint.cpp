#include "actors/devices/virtio/vsock/endpoint.hpp"

#include "actors/devices/unix_socket.hpp"

namespace troupe::vsock {
namespace {

// Host clients that wait to be accepted; more of them fail to connect at once.
constexpr int backlog = 128;

} // namespace

outcome<std::shared_ptr<endpoint>> endpoint::listen(std::string path) {
  auto listener = TRY(devices::listen_unix(path, backlog));
  auto it = std::make_shared<endpoint>();
  it->path = std::move(path);
  it->listener = std::move(listener);
  return it;
}

endpoint::~endpoint() {
  if (listener)
    ::unlink(path.c_str());
}

} // namespace troupe::vsock
