#pragma once

#include "actors/devices/virtio/blk/device.hpp"
#include "tests/support/guest_ram.hpp"
#include "tests/support/recording_file.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::testing {

inline constexpr milliseconds blk_limit{5000};

/// A block device on a worker, its ring driven by hand. A request lies in a cell of its own:
/// header, status and data.
class blk_bench {
public:
  static constexpr gpa ring_at = 0x10000;
  static constexpr gpa cells_at = 0x40000;
  static constexpr gpa cell_size = 0x4000;
  static constexpr std::uint16_t ring_size = 64;
  static constexpr std::uint8_t untold = 0xaa; // what status bytes are filled with

  /// Of one request, named by its first descriptor.
  struct cell {
    gpa header;
    gpa status;
    gpa data;
  };

  explicit blk_bench(std::shared_ptr<blk::disk> of, std::uint64_t features = ~0ULL,
                     byte_count ram_size = mib(2))
      : ram(ram_size), disk(std::move(of)), features_(features) {
    attach();
    activate();
    on_loop([] {}); // Its first look, so that what follows is the test's to time.
  }
  blk_bench(const blk_bench&) = delete;
  blk_bench& operator=(const blk_bench&) = delete;
  ~blk_bench() {
    on_loop([&] { device->reset(); });
  }

  void on_loop(const std::function<void()>& what) { must(loop->run("test", what, blk_limit)); }

  /// A ring as after a reset of the driver.
  void attach() {
    ring.emplace(ram, ring_at, ring_size);
    ram.put(ring_at, std::array<std::byte, 0x8000>{});
    queue = virtio::queue::attach(ring->state(), blk::queue_entries, ram.memory(), irq).value();
  }

  void activate() {
    on_loop([&] {
      virtio::activation with;
      with.features = device->features() & features_;
      with.memory = ram.memory();
      with.queues.assign(disk->options().queues, nullptr);
      with.queues[0] = queue.get();
      with.loop = loop.get();
      with.failed = [this](failure why) { // As a transport: the device is stopped.
        failed = std::move(why);
        ++crashes;
        loop->post("test", [this] { device->reset(); });
      };
      must(device->activate(std::move(with)));
    });
  }

  /// What a transport does when the logic has crashed: new logic over the same queues.
  void rebuild() {
    on_loop([&] { device->reset(); });
    failed.reset();
    device = std::make_unique<blk::device>(disk);
    on_loop([&] { queue->requeue_taken(); });
    activate();
  }

  [[nodiscard]] cell at(std::uint16_t head) const {
    const auto base = cells_at + cell_size * (head / 4);
    return {base, base + 64, base + 0x1000};
  }

  /// Header and status of a request of the cell, whose descriptors start at `head` (0, 4, 8 ...).
  void prepare(std::uint16_t head, blk::wire::type what, std::uint64_t sector) const {
    ram.put(at(head).header, blk::wire::header{what, 0, sector});
    ram.put(at(head).status, untold);
  }
  void read(std::uint16_t head, std::uint64_t sector, std::uint32_t bytes) {
    prepare(head, blk::wire::type::in, sector);
    const auto it = at(head);
    ring->add(head, {{it.header, 16, false}, {it.data, bytes, true}, {it.status, 1, true}});
  }
  void write(std::uint16_t head, std::uint64_t sector, const std::string& bytes) {
    payload(head, blk::wire::type::out, sector, bytes);
  }
  void payload(std::uint16_t head, blk::wire::type what, std::uint64_t sector,
               const std::string& bytes) {
    prepare(head, what, sector);
    const auto it = at(head);
    ram.put_text(it.data, bytes);
    ring->add(head, {{it.header, 16, false},
                     {it.data, static_cast<std::uint32_t>(bytes.size()), false},
                     {it.status, 1, true}});
  }
  void ranges(std::uint16_t head, blk::wire::type what,
              const std::vector<blk::wire::range>& which) {
    const auto bytes = std::as_bytes(std::span{which});
    std::string image(bytes.size(), '\0');
    std::memcpy(image.data(), bytes.data(), bytes.size());
    payload(head, what, 0, image);
  }
  void flush(std::uint16_t head) {
    prepare(head, blk::wire::type::flush, 0);
    ring->add(head, {{at(head).header, 16, false}, {at(head).status, 1, true}});
  }

  outcome<virtio::progress> kick() {
    outcome<virtio::progress> result = virtio::progress::idle;
    on_loop([&] { result = device->process(0); });
    return result;
  }
  /// As kick, of a device that may throw; whether it did.
  bool kick_throws() {
    auto thrown = false;
    on_loop([&] {
      try {
        (void)device->process(0);
      } catch (const std::exception&) {
        thrown = true;
        ++crashes;
      }
    });
    return thrown;
  }

  /// The next used element; waits for it. Logic that fails meanwhile is rebuilt.
  std::optional<used_entry> answered() {
    const auto until = monotonic_clock::now() + blk_limit;
    while (monotonic_clock::now() < until) {
      auto crashed = false;
      on_loop([&] { crashed = failed.has_value(); });
      if (crashed)
        rebuild();
      std::optional<used_entry> it;
      on_loop([&] { it = ring->take_used(); });
      if (it)
        return it;
    }
    return std::nullopt;
  }
  /// Whether the next answer is for `head`, with this status and length.
  bool answers(std::uint16_t head, blk::wire::status status, std::uint32_t written) {
    const auto used = answered();
    return used == used_entry{head, written} &&
           ram.get<std::uint8_t>(at(head).status) == static_cast<std::uint8_t>(status);
  }
  /// Whether nothing more is answered, all of the loop's work being done.
  bool silent() {
    auto quiet = true;
    for (int i = 0; i < 3; ++i)
      on_loop([&] { quiet = quiet && !ring->take_used(); });
    return quiet;
  }

  guest_ram ram;
  std::shared_ptr<blk::disk> disk;
  std::optional<driver_ring> ring;
  interrupt_counter irq;
  std::unique_ptr<devices::worker> loop = devices::worker::start("test").value();
  std::unique_ptr<virtio::queue> queue;
  std::unique_ptr<blk::device> device = std::make_unique<blk::device>(disk);
  std::optional<failure> failed;
  int crashes = 0;

private:
  std::uint64_t features_;
};

} // namespace troupe::testing
