// Block and entropy devices with a Linux guest, and a console where the transport has one.
#include "actors/devices/virtio/console/device.hpp"
#include "tests/e2e/blk/bed.hpp"
#include "tests/e2e/blk/terminal.hpp"
#include "tests/support/guest.hpp"
#include "tests/support/must.hpp"

using namespace troupe;
using namespace troupe::testing;
using namespace std::chrono_literals;

namespace {

bool run() {
  need_guests({"/sbin/mkfs.ext4"});
  const auto traits = traits_of_guests();
  bed suite;
  host_terminal terminal;
  const auto loop = must(devices::worker::start("blk-test"));
  const auto guest = make_guest(traits.slow ? 1 : 2);
  for (auto& device : suite.devices())
    guest->add(std::move(device), *loop);
  if (traits.console)
    guest->add(std::make_unique<console::device>(terminal.port()), *loop);
  guest->boot(TROUPE_INITRD, traits.console ? "blk_suite=disks,terminal" : "blk_suite=disks");
  guest->run(traits.slow ? 840s : 200s, [&](const std::string& line) {
    suite.heard(line, [&] { guest->replace_device(0, suite.new_raw_device()); });
    if (line == "blk-suite: type")
      terminal.type();
  });
  guest->end();
  if (traits.console)
    suite.expect(terminal.heard_all(), "the guest's words came whole and in order");
  return suite.judge();
}

} // namespace

int main() {
  return exit_code_of(run);
}
