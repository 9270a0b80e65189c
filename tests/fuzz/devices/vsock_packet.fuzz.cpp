// A guest that sends any packets to a muxer with one service: the input is a list of 44-byte
// headers, the lower bits of which are squeezed so that connections come about. Nothing may fail,
// and what the muxer holds stays bounded.
#include "actors/devices/virtio/vsock/muxer.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

using namespace troupe;
using namespace troupe::vsock;

namespace {

// Reads and writes a few bytes, then blocks, ends or breaks, by its port.
class moody_stream final : public stream {
public:
  explicit moody_stream(std::uint32_t mood) : mood_(mood) {}
  transfer read(std::span<const iovec> into) override {
    if (mood_ % 4 == 1 || into.empty() || into[0].iov_len == 0)
      return {transfer::end::blocked, 0};
    if (mood_ % 4 == 2)
      return {transfer::end::ended, 0};
    if (mood_ % 4 == 3)
      return {transfer::end::broken, 0};
    mood_ += 1;
    std::memset(into[0].iov_base, 'x', 1);
    return {transfer::end::moved, 1};
  }
  transfer write(std::span<const iovec>) override {
    return mood_ % 8 < 4 ? transfer{transfer::end::moved, 1} : transfer{};
  }
  void end_writing() noexcept override {}
  void end_reading() noexcept override {}
  void watch(bool, bool) override {}
  void become(readiness what) const { tell(what); }

private:
  std::uint32_t mood_;
};

class moody_dialer final : public dialer {
public:
  outcome<std::unique_ptr<stream>> dial(std::uint32_t port) override {
    if (port % 8 == 7)
      return fail(errc::host_io, "nobody");
    auto it = std::make_unique<moody_stream>(port);
    latest = it.get();
    return it;
  }
  moody_stream* latest = nullptr;
};

void receive_all(muxer& mux, time_point now) {
  std::array<char, 64> room{};
  const iovec part{room.data(), room.size()};
  for (int i = 0; i < 8; ++i) {
    const auto packet = mux.to_guest({&part, 1}, now);
    if (packet && packet->length > room.size())
      std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  moody_dialer dialer;
  muxer_ledger kept;
  muxer mux{3, dialer, kept, [] {}};
  time_point now{};
  static std::array<char, 256> payload{};
  for (std::size_t at = 0; at + header_bytes <= size; at += header_bytes) {
    header_image image{};
    std::memcpy(image.data(), data + at, image.size());
    auto packet = decode(image);
    packet.source_cid = 3 + (packet.source_cid & 0x10) / 16;
    packet.target_cid = 2;
    packet.source_port %= 16;
    packet.target_port %= 16;
    packet.length %= payload.size();
    const iovec part{payload.data(), packet.length};
    if (mux.accepts())
      mux.from_guest(packet, {&part, packet.length == 0 ? 0U : 1U});
    if (data[at] % 3 == 0)
      receive_all(mux, now);
    now += milliseconds{data[at + 1] * 8};
    mux.expire(now);
    if (mux.size() > connections_max || kept.live.size() != mux.size())
      std::abort();
  }
  receive_all(mux, now);
  return 0;
}
