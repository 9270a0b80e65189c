// The virtio-fs conformance suite with a Linux guest under QEMU, our device behind vhost-user.
#include "actors/devices/unix_socket.hpp"
#include "actors/devices/vhost_user/session.hpp"
#include "actors/devices/virtio/fs/device.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/e2e/fs/conformance.hpp"
#include "tests/e2e/fs/qemu_guest.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>

using namespace troupe;
using namespace std::chrono_literals;

namespace {

constexpr int skipped = 77;

outcome<void> run(testing::conformance& suite, const std::string& kernel) {
  const auto socket = (suite.folder() / "fs.sock").string();
  const auto loop = TRY(devices::worker::start("fs-test"));
  const auto served = TRY(vhost_user::session::start(
      TRY(devices::listen_unix(socket, 1)),
      TRY(virtio::fs_device::make(suite.shares(), {.own_loop = true})), *loop,
      [](vhost_user::session_event, const std::optional<failure>& why) {
        if (why)
          std::printf("host: device: %s\n", why->to_string().c_str());
      }));
  TRY(testing::run_guest({kernel, TROUPE_FS_INITRD, suite.command_line(), socket}, 280s,
                         [&](const std::string& line) { suite.heard(line); }));
  return served->stop(5s);
}

} // namespace

int main() {
  const char* const asked = std::getenv("TROUPE_TEST_KERNEL");
  const std::string kernel = asked ? asked : TROUPE_KERNEL;
  if (::access(kernel.c_str(), R_OK) != 0 || ::geteuid() != 0) {
    std::printf("skipped: needs root and a guest kernel, %s\n", kernel.c_str());
    return skipped;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0); // what was said before a hang is seen
  log::set_sink([](const log::record& what) {
    std::printf("log: %.*s: %.*s\n", static_cast<int>(what.who.size()), what.who.data(),
                static_cast<int>(what.text.size()), what.text.data());
  });
  try {
    testing::conformance suite;
    const auto ran = run(suite, kernel);
    if (!ran)
      std::printf("host: FAIL %s\n", ran.error().to_string().c_str());
    return suite.judge() && ran ? 0 : 1;
  } catch (const std::exception& broken) {
    std::printf("host: FAIL %s\n", broken.what());
    return 1;
  }
}
