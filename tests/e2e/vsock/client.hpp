#pragma once

#include "messages/vocabulary/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace troupe::testing {

/// A blocking host client of the hybrid socket. Every call gives up after a minute and throws.
class vsock_client {
public:
  /// Connects and shakes hands; `connected` tells whether the guest accepted.
  vsock_client(const std::string& path, std::uint32_t port);

  [[nodiscard]] bool connected() const noexcept { return connected_; }
  [[nodiscard]] const std::string& greeting() const noexcept { return greeting_; }

  void send(const std::string& bytes);
  void end_writing();
  /// Up to and without the newline; what there is when the stream ends before.
  [[nodiscard]] std::string line();
  /// Everything up to the end, at most `limit` bytes.
  [[nodiscard]] std::string rest(std::size_t limit = 1 << 20);
  /// One read: 0 at the end, -1 when the connection was reset.
  [[nodiscard]] std::ptrdiff_t read_some(char* into, std::size_t size);

private:
  unique_fd fd_;
  std::string greeting_;
  bool connected_ = false;
};

/// Accepts one connection of the guest at "<path>_<port>".
class vsock_host_listener {
public:
  vsock_host_listener(const std::string& path, std::uint32_t port);
  vsock_host_listener(const vsock_host_listener&) = delete;
  vsock_host_listener& operator=(const vsock_host_listener&) = delete;
  ~vsock_host_listener();

  [[nodiscard]] unique_fd accept();

private:
  std::string path_;
  unique_fd fd_;
};

/// Helpers on plain descriptors, with the same limit.
[[nodiscard]] std::string read_line(int fd);
void write_all(int fd, const std::string& bytes);

} // namespace troupe::testing
