#pragma once

#include "actors/devices/virtio/vsock/connection.hpp"
#include "actors/devices/virtio/vsock/packet.hpp"
#include "actors/devices/virtio/vsock/stream.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

namespace troupe::vsock {

/// Connections of one machine. A guest that opens more gets resets, a host client is refused.
inline constexpr std::size_t connections_max = 1023;

/// Resets that wait for room in the guest's receive ring. A guest that sends without ever receiving
/// is not listened to beyond that.
inline constexpr std::size_t resets_max = 256;

/// Time for the guest to answer a request or a full shutdown.
inline constexpr milliseconds answer_limit{2000};

/// Host ports of connections that the host opens.
inline constexpr std::uint32_t first_host_port = 0x4000'0000;
inline constexpr std::uint32_t last_host_port = 0x7fff'ffff;

/// What outlives the muxer when the device logic is replaced.
struct muxer_ledger {
  /// Connections the guest may believe in.
  std::set<port_pair> live;
  /// What it was not told yet: they come before anything about new connections.
  std::deque<header> resets;
  std::uint32_t next_host_port = first_host_port;
};

/// All connections of one guest: packets in, packets out, streams on the host's side. Rules only,
/// no rings and no descriptors; time comes as an argument. One thread at a time.
///
/// Nothing the guest sends can fail the muxer: what is wrong ends the connection it belongs to with
/// a reset, or is dropped.
class muxer {
public:
  /// Pairs that are still in `kept` are reset: their host ends are gone. `wake` is called when
  /// has_packet may have become true outside a call of the device.
  muxer(std::uint64_t guest_cid, dialer& out, muxer_ledger& kept, std::function<void()> wake);

  /// A packet of the guest. `payload` holds exactly header.length bytes.
  void from_guest(const header& packet, std::span<const iovec> payload);
  /// A packet that cannot be handled: ends its connection.
  void refuse(const header& packet);
  /// False while too many resets wait for room: leave the guest's packets where they are.
  [[nodiscard]] bool accepts() const noexcept { return kept_.resets.size() < resets_max; }

  [[nodiscard]] bool has_packet() const noexcept { return !kept_.resets.empty() || !line_.empty(); }
  /// The next packet for the guest, its payload already in `room` (at least one byte of it).
  [[nodiscard]] std::optional<header> to_guest(std::span<const iovec> room, time_point now);

  /// Opens a connection to the guest; once it answers, the stream gets "OK <host port>\n".
  outcome<port_pair> open(std::uint32_t guest_port, std::unique_ptr<stream> host, time_point now);

  /// Resets what is overdue, and when to come back.
  void expire(time_point now);
  [[nodiscard]] std::optional<time_point> next_deadline() const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return connections_.size(); }
  /// Packets that were dropped or answered with a reset because they made no sense.
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

private:
  void stranger(const header& packet, port_pair pair);
  void dispatch(connection& it, const header& packet, port_pair pair,
                std::span<const iovec> payload);
  void guest_answered(connection& it, port_pair pair);
  [[nodiscard]] connection& insert(port_pair pair, std::unique_ptr<stream> host,
                                   connection::phase start);
  [[nodiscard]] std::optional<port_pair> free_pair(std::uint32_t guest_port);
  void ready(port_pair pair, readiness what);
  void settle(port_pair pair);
  void kill(port_pair pair);
  void erase(port_pair pair);
  void queue_reset(port_pair pair, std::uint16_t type = type_stream);
  void set_deadline(connection& it, port_pair pair, time_point now);
  [[nodiscard]] std::optional<header> packet_of(connection& it, port_pair pair,
                                                std::span<const iovec> room, time_point now);
  [[nodiscard]] header blank(port_pair pair, operation op) const noexcept;

  std::uint64_t guest_cid_;
  dialer& out_;
  muxer_ledger& kept_;
  std::function<void()> wake_;
  std::map<port_pair, connection> connections_;
  std::deque<port_pair> line_; // Connections that want a packet, each once, served in turn.
  std::deque<std::pair<time_point, port_pair>> due_; // In order: all limits are the same.
  std::uint64_t refused_ = 0;
};

} // namespace troupe::vsock
