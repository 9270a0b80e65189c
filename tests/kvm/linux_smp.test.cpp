// Linux on two processors under our own VMM on /dev/kvm.
#include "actors/devices/virtio/console/device.hpp"
#include "tests/support/kvm_guest.hpp"
#include "tests/support/must.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <random>
#include <thread>

using namespace troupe;
using namespace troupe::testing;
using namespace std::chrono_literals;

namespace {

/// A busy host gives a guest a fifth of its time; alone it needs some ten seconds.
constexpr seconds boot_limit{240};
constexpr seconds end_limit{120};
constexpr milliseconds pause_limit{10'000};
constexpr int pauses = 50;

class lines {
public:
  void heard(const std::string& line) {
    std::printf("%s\n", line.c_str());
    all_.push_back(line);
  }
  [[nodiscard]] bool has(const std::string& line) const {
    return std::ranges::find(all_, line) != all_.end();
  }

private:
  std::vector<std::string> all_;
};

} // namespace

TEST_CASE("machine: Linux works on two processors, and pauses cost neither a step nor a wake-up") {
  need_guests();
  const auto loop = must(devices::worker::start("smp-test"));
  const auto keyboard = std::make_shared<console::port>([](std::string_view) {});
  const auto guest = make_kvm_guest(2);
  guest->add(std::make_unique<console::device>(keyboard), *loop);
  lines said;
  const auto began = monotonic_clock::now();
  guest->boot(TROUPE_INITRD, "");
  for (std::string last; !last.starts_with("processors: ");) {
    const auto line = guest->next_line(began + boot_limit);
    REQUIRE(line);
    said.heard(last = *line);
  }
  REQUIRE(said.has("processors: 2"));
  const std::chrono::duration<double> took = monotonic_clock::now() - began;
  std::printf("both worked after %.1f s\n", took.count());

  std::mt19937 random{50};
  std::uniform_int_distribution<int> moment{0, 20'000};
  for (int i = 0; i < pauses; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds{moment(random)});
    REQUIRE(guest->machine().pause(pause_limit));
    for (const auto& it : guest->machine().processors())
      CHECK(it->where() == vcpu::phase::paused);
    std::this_thread::sleep_for(std::chrono::microseconds{moment(random) / 4});
    REQUIRE(guest->machine().resume());
  }
  must(keyboard->type("stop\n"));
  guest->run(end_limit, [&](const std::string& line) { said.heard(line); });
  CHECK(said.has("right"));
  guest->end();
}
