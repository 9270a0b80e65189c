#pragma once

#include "actors/devices/virtio/vsock/packet.hpp"
#include "actors/devices/virtio/vsock/stream.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace troupe::vsock {

/// What we promise to hold of each connection when its host end does not read. A guest that sends
/// more has lied about its credit. With `connections_max` it bounds a guest's share of our memory.
inline constexpr std::uint32_t buffer_size = 64 * 1024;

/// The guest hears of freed buffer space once it lags by this much, well before it must stop.
inline constexpr std::uint32_t credit_lag = buffer_size / 4;

/// A connection's flow control and half-closes. Rules over a stream; no rings, no table.
class connection {
public:
  enum class phase : std::uint8_t {
    requested,   ///< We asked the guest; nothing moves yet.
    established, ///< Bytes move, each direction until its end.
    closing,     ///< The host's end is gone and the guest was told; waits for its reset.
    draining,    ///< The guest is done; what it sent still goes to the host's end.
  };
  /// What the guest must be told next; each at most once.
  struct debts {
    bool request = false;
    bool response = false;
    bool shutdown = false;
    bool credit_update = false;
    bool credit_request = false;
  };

  connection(std::unique_ptr<stream> host, phase start) : host_(std::move(host)), phase_(start) {}

  /// The credit fields that every packet of the guest carries.
  void note_credit(const header& from) noexcept;
  /// Bytes the guest can take now. Counters wrap; a guest that claims nonsense gets nothing.
  [[nodiscard]] std::uint32_t credit() const noexcept;

  /// Bytes from the guest, to the host's end or into the buffer. False when the guest has
  /// overdrawn its credit.
  [[nodiscard]] bool from_guest(std::span<const iovec> payload, std::size_t length);
  /// Writes what is buffered.
  void flush();
  /// Reads into guest buffers, not more than the credit.
  [[nodiscard]] transfer to_guest(std::span<const iovec> room);

  void established();
  void guest_shutdown(std::uint32_t flags);
  void host_ready(readiness what);

  /// Whether there is anything to tell the guest if it has room for a packet.
  [[nodiscard]] bool wants_packet() const noexcept;
  /// The flags of the shutdown to send.
  [[nodiscard]] std::uint32_t shutdown_flags() const noexcept;
  /// Nothing is left to do for either side.
  [[nodiscard]] bool finished() const noexcept;

  /// Fills the credit fields of a packet on its way.
  void stamp(header& onto) noexcept;

  [[nodiscard]] stream& host() noexcept { return *host_; }
  [[nodiscard]] phase state() const noexcept { return phase_; }
  void set_state(phase to) noexcept { phase_ = to; }
  [[nodiscard]] std::size_t buffered() const noexcept { return backlog_.size() - backlog_start_; }
  [[nodiscard]] bool can_read() const noexcept { return readable_ && !host_ended_ && !guest_deaf_; }

  debts owed;
  /// When the guest's answer is due; none while no answer is expected.
  std::optional<time_point> deadline;
  /// Whether the connection stands in the muxer's line for packets.
  bool in_line = false;

private:
  std::size_t write_now(std::span<const iovec> payload);
  void forwarded(std::size_t bytes) noexcept;
  void watch();
  void end_writing_if_done() noexcept;

  std::unique_ptr<stream> host_;
  phase phase_;
  // Guest to host.
  std::vector<std::byte> backlog_; // Taken from the guest, not yet written; from backlog_start_ on.
  std::size_t backlog_start_ = 0;
  std::uint32_t forwarded_ = 0;
  std::uint32_t forwarded_told_ = 0;
  bool guest_ended_ = false;
  bool host_deaf_ = false;
  // Host to guest.
  std::uint32_t sent_ = 0;
  std::uint32_t peer_buffer_ = 0;
  std::uint32_t peer_forwarded_ = 0;
  bool readable_ = false;
  bool host_ended_ = false;
  bool guest_deaf_ = false;
  bool hung_up_ = false;
};

} // namespace troupe::vsock
