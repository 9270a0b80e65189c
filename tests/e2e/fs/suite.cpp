// The virtio-fs conformance suite with a Linux guest.
#include "actors/devices/virtio/fs/device.hpp"
#include "tests/e2e/fs/conformance.hpp"
#include "tests/support/guest.hpp"
#include "tests/support/must.hpp"
#include "tests/support/skip.hpp"

#include <unistd.h>

using namespace troupe;
using namespace troupe::testing;
using namespace std::chrono_literals;

namespace {

/// Where a file is made in some 10 ms.
constexpr conformance::scale small{
    .descriptor_budget = 300, .folders = 40, .files = 1'200, .listed = 500};

bool run() {
  need_guests();
  need(::geteuid() == 0, "root");
  const auto slow = traits_of_guests().slow;
  conformance suite{slow ? small : conformance::scale{}};
  const auto loop = must(devices::worker::start("fs-test"));
  const auto guest = make_guest();
  guest->add(must(virtio::fs_device::make(suite.shares(), {.own_loop = true})), *loop);
  guest->boot(TROUPE_INITRD, suite.command_line());
  guest->run(slow ? 1140s : 280s, [&](const std::string& line) { suite.heard(line); });
  guest->end();
  return suite.judge();
}

} // namespace

int main() {
  return exit_code_of(run);
}
