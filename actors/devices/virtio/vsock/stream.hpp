#pragma once

#include "messages/vocabulary/outcome.hpp"

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace troupe::vsock {

/// What became of a read or write that does not block.
struct transfer {
  enum class end : std::uint8_t {
    moved,   ///< `bytes` were moved, at least one.
    blocked, ///< Nothing now; watch for readiness.
    ended,   ///< The peer sends no more.
    broken,  ///< The peer is gone.
  };
  end how = end::blocked;
  std::size_t bytes = 0;
};

/// What a stream is ready for.
struct readiness {
  bool readable = false;
  bool writable = false;
  /// Both directions are closed by the peer; what it sent before may still be read. Told once.
  bool hung_up = false;
};

/// The host's end of a vsock connection: a socket, or a fake in tests. Never blocks.
class stream {
public:
  using listener = std::function<void(readiness)>;

  virtual ~stream() = default;

  [[nodiscard]] virtual transfer read(std::span<const iovec> into) = 0;
  [[nodiscard]] virtual transfer write(std::span<const iovec> from) = 0;
  /// Tells the peer that nothing more comes, or that nothing more is read.
  virtual void end_writing() noexcept = 0;
  virtual void end_reading() noexcept = 0;
  /// Which readiness to tell of, as long as it lasts. Hang-ups are told in any case.
  virtual void watch(bool readable, bool writable) = 0;

  void on_ready(listener tell) { tell_ = std::move(tell); }

protected:
  void tell(readiness what) const {
    if (tell_)
      tell_(what);
  }

private:
  listener tell_;
};

/// Where connections of the guest go.
class dialer {
public:
  virtual ~dialer() = default;
  /// Connects at once or fails: the guest is told by a reset.
  [[nodiscard]] virtual outcome<std::unique_ptr<stream>> dial(std::uint32_t port) = 0;
};

} // namespace troupe::vsock
