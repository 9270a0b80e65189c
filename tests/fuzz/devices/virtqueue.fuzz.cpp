// A driver that writes anything anywhere in its RAM: the input is RAM, byte for byte, from the ring
// on. The device takes what it can; whatever happens, it ends.
#include "actors/devices/virtio/queue.hpp"
#include "tests/support/guest_ram.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

using namespace troupe;

namespace {

constexpr byte_count ram_size = kib(64);
constexpr std::size_t prefix = 2;

// Devices bound their turns too: buffers may lie over the ring, so a driver can feed it for ever.
constexpr int chains_per_turn = 1000;

void serve(virtio::queue& queue) {
  virtio::chain chain;
  for (int i = 0; i < chains_per_turn; ++i) {
    const auto popped = queue.pop(chain);
    if (queue.in_flight() > queue.size())
      std::abort();
    if (!popped || !*popped)
      return;
    std::array<std::byte, 64> bytes{};
    (void)chain.read(0, bytes);
    const auto written = std::min<std::size_t>(chain.writable_bytes, 16);
    (void)chain.write(0, std::span{bytes}.first(written));
    if (chain.head % 3 != 0)
      (void)queue.put_used(chain, static_cast<std::uint32_t>(written));
    else if (chain.head % 2 != 0)
      return (void)queue.un_pop(chain);
    queue.notify();
    (void)queue.rearm();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < prefix)
    return 0;
  static const testing::guest_ram ram{ram_size};
  const std::vector<std::byte> zeros(ram_size);
  testing::must(ram.memory()->write(0, zeros));
  const auto image = std::as_bytes(std::span{data, size}).subspan(prefix);
  testing::must(ram.memory()->write(0, image.first(std::min<std::size_t>(image.size(), ram_size))));

  virtio::queue_state state;
  state.size = static_cast<std::uint16_t>(1U << (data[0] % 8));
  state.available = 0x800;
  state.used = 0xc00;
  state.event_index = (data[1] & 1) != 0;
  state.indirect = (data[1] & 2) != 0;
  testing::interrupt_counter irq;
  auto queue = virtio::queue::attach(state, 128, ram.memory(), irq);
  if (!queue)
    return 0;
  serve(**queue);
  (*queue)->requeue_taken();
  serve(**queue);
  return 0;
}
