// The virtio-fs conformance suite with a Linux guest on KVM, our device behind virtio-mmio.
#include "actors/devices/virtio/fs/device.hpp"
#include "tests/e2e/fs/conformance.hpp"
#include "tests/support/kvm_guest.hpp"
#include "tests/support/must.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>

using namespace troupe;
using namespace troupe::testing;
using namespace std::chrono_literals;

namespace {

/// Kernel mode runs at one or two million instructions a second: a file is made in some 10 ms.
constexpr conformance::scale small{
    .descriptor_budget = 300, .folders = 40, .files = 1'200, .listed = 500};

void run(conformance& suite) {
  const auto loop = must(devices::worker::start("fs-test"));
  kvm_guest guest{1};
  guest.add(must(virtio::fs_device::make(suite.shares(), {.own_loop = true})), *loop);
  guest.boot(TROUPE_KERNEL, TROUPE_FS_INITRD, suite.command_line());
  guest.run(1140s, [&](const std::string& line) { suite.heard(line); });
  guest.end();
}

} // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0); // what was said before a hang is seen
  skip_without_kvm(TROUPE_KERNEL);
  if (::geteuid() != 0)
    return std::printf("SKIPPED: a guest on KVM: needs root\n"), 77;
  try {
    conformance suite{small};
    run(suite);
    return suite.judge() ? 0 : 1;
  } catch (const std::exception& broken) {
    std::printf("host: FAIL %s\n", broken.what());
    return 1;
  }
}
