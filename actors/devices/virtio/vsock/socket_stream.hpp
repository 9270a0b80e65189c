#pragma once

#include "actors/devices/virtio/vsock/stream.hpp"
#include "actors/devices/worker.hpp"
#include "messages/vocabulary/unique_fd.hpp"

namespace troupe::vsock {

/// A stream over a connected, non-blocking socket, watched by a worker.
class socket_stream final : public stream {
public:
  socket_stream(unique_fd fd, devices::worker& loop) : fd_(std::move(fd)), loop_(loop) {}
  socket_stream(const socket_stream&) = delete;
  socket_stream& operator=(const socket_stream&) = delete;
  ~socket_stream() override { unwatch(); }

  [[nodiscard]] transfer read(std::span<const iovec> into) override;
  [[nodiscard]] transfer write(std::span<const iovec> from) override;
  void end_writing() noexcept override;
  void end_reading() noexcept override;
  void watch(bool readable, bool writable) override;

private:
  void ready(std::uint32_t events);
  void unwatch() noexcept;

  unique_fd fd_;
  devices::worker& loop_;
  devices::worker::watch_id watch_ = 0;
  std::uint32_t events_ = 0;
  bool hung_up_ = false;
};

} // namespace troupe::vsock
