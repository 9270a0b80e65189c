// Block, entropy and console devices with a Linux guest on KVM, ours behind virtio-mmio.
#include "actors/devices/virtio/console/device.hpp"
#include "tests/e2e/blk/bed.hpp"
#include "tests/e2e/blk/terminal.hpp"
#include "tests/support/kvm_guest.hpp"
#include "tests/support/must.hpp"

#include <cstdio>
#include <exception>

using namespace troupe;
using namespace troupe::testing;
using namespace std::chrono_literals;

namespace {

void run(bed& suite) {
  const auto loop = must(devices::worker::start("blk-test"));
  host_terminal terminal;
  auto parts = suite.parts();
  kvm_guest guest{static_cast<std::uint32_t>(parts.size() + 1)};
  auto& raw = guest.add(std::move(parts.front().device), *loop);
  for (std::size_t i = 1; i < parts.size(); ++i)
    guest.add(std::move(parts[i].device), *loop);
  guest.add(std::make_unique<console::device>(terminal.port()), *loop);
  guest.boot(TROUPE_KERNEL, TROUPE_BLK_INITRD, "blk_suite=disks,terminal");
  guest.run(840s, [&](const std::string& line) {
    suite.heard(line, [&] { must(raw.replace_device(suite.new_raw_device(), 10s)); });
    if (line == "blk-suite: type")
      terminal.type();
  });
  guest.end();
  suite.expect(terminal.heard_all(), "the guest's words came whole and in order");
}

} // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0); // what was said before a hang is seen
  skip_without_kvm(TROUPE_KERNEL, {"/sbin/mkfs.ext4"});
  try {
    bed suite;
    run(suite);
    return suite.judge() ? 0 : 1;
  } catch (const std::exception& broken) {
    std::printf("host: FAIL %s\n", broken.what());
    return 1;
  }
}
