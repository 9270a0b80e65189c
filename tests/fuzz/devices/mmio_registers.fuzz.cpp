// A driver that writes any registers in any order: the input is a list of accesses, seven bytes
// each. The rings are where it says, in RAM that is an image of the whole input, so what it makes
// available is just as wild. The device is stopped or served, and the window answers.
#include "actors/devices/transport/mmio/session.hpp"
#include "tests/support/mmio_driver.hpp"

#include <array>
#include <cstdlib>
#include <cstring>

using namespace troupe;

namespace {

constexpr byte_count ram_size = kib(64);
constexpr gpa base = 0x1000'0000;
constexpr std::size_t access_bytes = 7;
// Each may wait for a worker, so a turn's length is bounded.
constexpr std::size_t accesses_max = 512;
constexpr milliseconds limit{10'000};

class modest_device final : public virtio::device {
public:
  virtio::device_type type() const noexcept override { return virtio::device_type::rng; }
  std::string_view name() const noexcept override { return "modest"; }
  std::span<const std::uint16_t> queue_sizes() const noexcept override {
    static constexpr std::array<std::uint16_t, 2> sizes{64, 64};
    return sizes;
  }
  std::uint64_t features() const noexcept override { return 1; }
  void read_config(std::uint32_t offset, std::span<std::byte> into) const noexcept override {
    virtio::copy_config(config_, offset, into);
  }
  outcome<void> write_config(std::uint32_t offset, std::span<const std::byte> from) override {
    if (offset > config_.size() || from.size() > config_.size() - offset)
      return virtio::device::write_config(offset, from);
    std::memcpy(config_.data() + offset, from.data(), from.size());
    return {};
  }
  outcome<void> activate(virtio::activation with) override {
    queues_ = std::move(with.queues);
    return {};
  }
  // A few chains a turn: rings may lie over the buffers, so a driver could feed it for ever.
  outcome<virtio::progress> process(std::size_t index) override {
    auto* const queue = queues_.at(index);
    virtio::chain chain;
    for (int i = 0; queue != nullptr && i < 64 && TRY(queue->pop(chain)); ++i)
      TRY(queue->put_used(chain, 0));
    if (queue != nullptr)
      queue->notify();
    return virtio::progress::idle;
  }
  void pause() noexcept override {}
  outcome<void> resume(std::shared_ptr<const memory::guest_memory>) override { return {}; }
  void reset() noexcept override { queues_.clear(); }

private:
  std::array<std::byte, 12> config_{};
  std::vector<virtio::queue*> queues_;
};

// Offset (2 bytes), what to do (1), value (4). Small offsets are squeezed onto registers, so that
// whole set-ups come about.
void one_access(bus::address_space& bus, const std::uint8_t* at, mmio::session& served) {
  std::uint16_t offset = 0;
  std::uint32_t value = 0;
  std::memcpy(&offset, at, sizeof(offset));
  std::memcpy(&value, at + 3, sizeof(value));
  const auto what = at[2];
  const auto length = std::size_t{1} << (what & 3U);
  std::array<std::byte, 8> bytes{};
  bus::store(value, bytes);
  if ((what & 0x80) != 0)
    bus.read(base + offset % mmio::window_bytes, std::span{bytes}.first(length));
  else if ((what & 0x40) != 0)
    testing::must(served.replace_device(std::make_unique<modest_device>(), limit));
  else if ((what & 0x20) != 0)
    bus.write(base + offset % mmio::window_bytes, std::span{bytes}.first(length));
  else
    bus.write(base + offset % 0x110 / 4 * 4, std::span{bytes}.first(4));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto loop = devices::worker::start("fuzz").value();
  static const testing::guest_ram ram{ram_size};
  std::vector<std::byte> image(ram_size);
  std::memcpy(image.data(), data, std::min<std::size_t>(size, image.size()));
  testing::must(ram.memory()->write(0, image));

  testing::fake_machine machine;
  auto served = mmio::session::start(std::make_unique<modest_device>(), ram.memory(), *loop,
                                     machine, {.base = base}, {[] {}, [](failure) {}})
                    .value();
  bus::address_space bus{bus::space::mmio};
  testing::must(bus.add(base, mmio::window_bytes, served->registers()));
  for (std::size_t i = 0; i < accesses_max && (i + 1) * access_bytes <= size; ++i)
    one_access(bus, data + i * access_bytes, *served);

  // Whatever happened: a reset, and the device is there again.
  testing::mmio_driver driver{bus, machine, base};
  if (!driver.agree() || driver.get(mmio::reg::magic) != mmio::magic_value)
    std::abort();
  testing::must(bus.remove(base));
  testing::must(served->stop(limit));
  return 0;
}
