// Block and entropy devices with a Linux guest under QEMU, ours behind vhost-user.
#include "actors/devices/unix_socket.hpp"
#include "actors/devices/vhost_user/session.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/e2e/blk/bed.hpp"
#include "tests/e2e/blk/qemu_guest.hpp"
#include "tests/support/must.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

using namespace troupe;
using namespace troupe::testing;
using namespace std::chrono_literals;

namespace {

constexpr int skipped = 77;

std::string words_of(const bed::part& it) {
  auto words = "vhost-user-" + it.kind + "-pci";
  if (it.kind == "blk")
    words += ",num-queues=" + std::to_string(it.queues);
  return words;
}

void run(bed& suite, const std::string& kernel) {
  const auto loop = must(devices::worker::start("blk-test"));
  std::vector<std::unique_ptr<vhost_user::session>> sessions;
  std::vector<qemu_device> machine;
  for (auto& it : suite.parts()) {
    const auto name = "socket-" + std::to_string(machine.size());
    machine.push_back({words_of(it), (suite.folder() / name).string()});
    sessions.push_back(must(vhost_user::session::start(
        must(devices::listen_unix(machine.back().socket, 1)), std::move(it.device), *loop,
        [](vhost_user::session_event, const std::optional<failure>& why) {
          if (why)
            std::printf("host: device: %s\n", why->to_string().c_str());
        })));
  }
  must(run_guest({kernel, TROUPE_BLK_INITRD, machine}, 200s, [&](const std::string& line) {
    suite.heard(line, [&] { must(sessions.front()->replace_device(suite.new_raw_device(), 5s)); });
  }));
  for (auto& it : sessions)
    suite.expect(it->stop(5s).has_value(), "a device stops");
}

} // namespace

int main() {
  const char* const asked = std::getenv("TROUPE_TEST_KERNEL");
  const std::string kernel = asked ? asked : TROUPE_KERNEL;
  for (const auto& need : {kernel, std::string{"/sbin/mkfs.ext4"}})
    if (::access(need.c_str(), R_OK) != 0) {
      std::printf("skipped: needs %s\n", need.c_str());
      return skipped;
    }
  std::setvbuf(stdout, nullptr, _IOLBF, 0); // what was said before a hang is seen
  log::set_sink([](const log::record& what) {
    std::printf("log: %.*s: %.*s\n", static_cast<int>(what.who.size()), what.who.data(),
                static_cast<int>(what.text.size()), what.text.data());
  });
  try {
    bed suite;
    run(suite, kernel);
    return suite.judge() ? 0 : 1;
  } catch (const std::exception& broken) {
    std::printf("host: FAIL %s\n", broken.what());
    return 1;
  }
}
