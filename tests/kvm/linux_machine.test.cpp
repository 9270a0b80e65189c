// Linux under our own VMM on /dev/kvm: the agent comes up and answers over our vsock device.
#include "actors/devices/transport/mmio/session.hpp"
#include "actors/devices/virtio/vsock/device.hpp"
#include "actors/sandbox/hypervisor/qemu/host.hpp"
#include "actors/vcpu/kernel_params.hpp"
#include "actors/vcpu/machine/machine.hpp"
#include "messages/vocabulary/log.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdio>

using namespace troupe;
using namespace troupe::vcpu;

namespace {

/// A busy host gives a guest a fifth of its time; alone it needs some ten seconds.
constexpr seconds boot_limit{240};
constexpr milliseconds limit{10'000};

[[noreturn]] void skip(const char* missing) {
  std::printf("SKIPPED: Linux on KVM: %s\n", missing);
  std::fflush(stdout);
  ::_exit(77);
}

machine_order small_order() {
  machine_order out;
  out.name = "linux";
  out.memory = mib(128);
  out.windows = 1;
  out.discovery = boot::discovery::mp_table_and_command_line;
  out.exit_port = true;
  return out;
}

payload agent_payload() {
  const auto host = hypervisor::qemu::read_host_facts();
  const auto words = kernel_params_for(kvm_kind::emulating, host.tsc_khz).value();
  return {TROUPE_KERNEL, TROUPE_INITRD, "console=ttyS0 quiet panic=-1 reboot=k " + words};
}

/// Says `CONNECT 1024` at the device's path; what it was answered, or nothing.
std::string knock(const std::string& path) {
  const unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof(name.sun_path) - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    return {};
  const std::string line = "CONNECT 1024\n";
  if (::write(fd.get(), line.data(), line.size()) < 0)
    return {};
  pollfd ready{fd.get(), POLLIN, 0};
  char answer[64] = {};
  if (::poll(&ready, 1, 3000) != 1)
    return {};
  const auto got = ::read(fd.get(), answer, sizeof answer);
  return {answer, static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
}

} // namespace

TEST_CASE("machine: Linux boots to our agent, which answers over vsock; the end is in order") {
  if (::access("/dev/kvm", R_OK | W_OK) != 0)
    skip("no /dev/kvm");
  if (::access(TROUPE_KERNEL, R_OK) != 0)
    skip("no kernel; guest/kernel/build emulated build/guest makes it");
  log::set_level(log::level::debug);
  log::set_sink([](const log::record& r) { std::printf("%s\n", std::string{r.text}.c_str()); });
  const troupe::test::scratch_folder folder;
  const auto path = folder.file("vsock");
  const auto loop = devices::worker::start("test").value();
  std::atomic<bool> ended{false};
  auto it = machine::create(small_order(), [&](const ending& how) {
              std::printf("ended: %s: %s\n", std::string{name(how.why)}.c_str(), how.text.c_str());
              ended = true;
            }).value();
  const auto window = machine::window(0);
  mmio::session_options where;
  where.base = window.registers.start;
  where.gsi = window.gsi;
  auto session =
      mmio::session::start(
          std::make_unique<vsock::device>(3, vsock::endpoint::listen(path).value()), it->ram(),
          *loop, *it, where, {[] {}, [](const failure& why) { FAIL(why.text); }})
          .value();
  REQUIRE(it->plug(0, session->registers()));
  REQUIRE(it->load(agent_payload()));
  REQUIRE(it->pause(limit)); // It stands already.
  REQUIRE(it->counts().size() == 1);
  CHECK(it->counts().front()->exits == 0);
  CHECK(it->load(agent_payload()).error().code == errc::failed_precondition);
  const auto began = monotonic_clock::now();
  REQUIRE(it->resume());
  std::string answer;
  while (!answer.starts_with("OK ") && !ended && monotonic_clock::now() < began + boot_limit)
    answer = knock(path);
  const std::chrono::duration<double> took = monotonic_clock::now() - began;
  std::printf("the agent answered after %.1f s\n", took.count());
  CHECK(answer.starts_with("OK "));
  CHECK(it->pause(limit));
  CHECK(it->resume());
  CHECK(it->end(limit));
  CHECK(it->how()->why == machine_end::asked);
  it->unplug(0);
  CHECK(session->stop(limit));
}
