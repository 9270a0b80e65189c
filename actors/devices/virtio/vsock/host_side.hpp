#pragma once

#include "actors/devices/virtio/vsock/endpoint.hpp"
#include "actors/devices/virtio/vsock/handshake.hpp"
#include "actors/devices/virtio/vsock/stream.hpp"
#include "actors/devices/worker.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace troupe::vsock {

/// Host clients between accept and the end of their CONNECT line. More wait in the backlog.
inline constexpr std::size_t handshakes_max = 64;

/// Time for a client to say which port it wants.
inline constexpr milliseconds handshake_limit{2000};

/// The sockets of one device: takes host clients up to the end of their handshake, and dials for
/// the guest. All on the worker's thread.
class host_side final : public dialer {
public:
  /// A client asked for a port of the guest.
  using client = std::function<void(std::uint32_t port, std::unique_ptr<stream>)>;

  host_side(endpoint& where, devices::worker& loop, client on_client);
  host_side(const host_side&) = delete;
  host_side& operator=(const host_side&) = delete;
  ~host_side() override;

  /// Begins to accept.
  [[nodiscard]] outcome<void> start();
  /// Stops or goes on accepting; handshakes under way continue.
  void accepting(bool yes) noexcept;

  [[nodiscard]] outcome<std::unique_ptr<stream>> dial(std::uint32_t port) override;

private:
  struct handshake {
    unique_fd fd;
    devices::worker::watch_id watch = 0;
    devices::worker::timer_id timer = 0;
    std::array<char, connect_line_max> line{};
    std::size_t filled = 0;
  };

  void accept();
  void retry_later();
  void begin(unique_fd fd);
  void advance(std::uint64_t id);
  [[nodiscard]] outcome<bool> read_line(handshake& it);
  void finish(std::uint64_t id);
  void update_listener() noexcept;

  endpoint& where_;
  devices::worker& loop_;
  client on_client_;
  devices::worker::watch_id listener_watch_ = 0;
  devices::worker::timer_id retry_timer_ = 0;
  bool accepting_ = true;
  std::map<std::uint64_t, handshake> handshakes_;
  std::uint64_t next_id_ = 0;
};

} // namespace troupe::vsock
