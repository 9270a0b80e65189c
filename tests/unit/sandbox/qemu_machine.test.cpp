#include "tests/unit/sandbox/machine_fixture.hpp"

#include "actors/sandbox/journal/process_info.hpp"
#include "messages/vocabulary/unique_fd.hpp"

#include <sys/socket.h>
#include <sys/un.h>

using namespace troupe;
using namespace troupe::test;
using hypervisor::end_reason;
using hypervisor::machine_ended;
using hypervisor::machine_paused;
using hypervisor::machine_resumed;

namespace {

/// A unix socket that takes connections and never says a word.
unique_fd mute_listener(const std::string& path) {
  unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(fd.get(), 4) == 0);
  return fd;
}

} // namespace

TEST_CASE_METHOD(machine_fixture, "qemu: a q35 machine boots, pauses, resumes and stops in time") {
  boot();
  REQUIRE(console_shows("READY"));
  const auto process = machine->process();
  REQUIRE(process);
  CHECK(journal::argv_contains(process->pid, config.token));
  CHECK(journal::find_by_token(config.token) == std::vector{process->pid});

  const auto metrics = machine->metrics();
  REQUIRE(metrics);
  CHECK(metrics->guest_memory == mib(256));
  CHECK(metrics->threads >= 2);
  CHECK(metrics->user_time > 100ms);
  CHECK(metrics->resident > mib(32));

  REQUIRE(machine->pause(in(5s)));
  CHECK(events.wait_for<machine_paused>(5s));
  REQUIRE(machine->resume(in(5s)));
  CHECK(events.wait_for<machine_resumed>(5s));

  const auto before = monotonic_clock::now();
  const auto ended = machine->stop(in(5s));
  REQUIRE(ended);
  CHECK(monotonic_clock::now() - before < 5s);
  CHECK(ended->reason == end_reason::stopped);
  CHECK(ended->status == 0);
  CHECK(machine->stop(in(1s))->text == ended->text);
  CHECK(events.wait_for<machine_ended>(1s));
  CHECK(events.count<machine_ended>() == 1);
  CHECK_FALSE(journal::inspect(process->pid));
  CHECK(machine->pause(in(1s)).error().code == errc::machine_gone);
}

TEST_CASE_METHOD(machine_fixture, "qemu: kill -9 of the process is noticed at once") {
  boot();
  const auto process = machine->process();
  std::thread killer{[&] {
    std::this_thread::sleep_for(100ms);
    ::kill(process->pid, SIGKILL);
  }};
  const auto ended = machine->wait(in(10s));
  killer.join();
  REQUIRE(ended);
  CHECK(ended->reason == end_reason::killed);
  CHECK(ended->signal == SIGKILL);
  CHECK(events.wait_for<machine_ended>(1s)->how.signal == SIGKILL);
  CHECK_FALSE(journal::inspect(process->pid));
}

TEST_CASE_METHOD(machine_fixture, "qemu: a waiting command fails when the process is killed") {
  boot();
  const auto process = machine->process();
  ::kill(process->pid, SIGSTOP);
  std::optional<outcome<void>> answer;
  std::thread caller{[&] { answer = machine->pause(in(20s)); }};
  std::this_thread::sleep_for(50ms);
  const auto before = monotonic_clock::now();
  ::kill(process->pid, SIGKILL);
  caller.join();
  CHECK(monotonic_clock::now() - before < 2s);
  CHECK(answer->error().code == errc::machine_gone);
}

TEST_CASE_METHOD(machine_fixture, "qemu: a hung process is stopped within the bound") {
  boot();
  ::kill(machine->process()->pid, SIGSTOP);
  const auto before = monotonic_clock::now();
  const auto ended = machine->stop(in(2s));
  REQUIRE(ended);
  CHECK(monotonic_clock::now() - before < 2500ms);
  CHECK(ended->reason == end_reason::stopped);
  CHECK(ended->signal == SIGKILL);
}

TEST_CASE_METHOD(machine_fixture, "qemu: the guest's own end is told with its reason") {
  const auto [word, reason] =
      GENERATE(table<const char*, end_reason>({{"poweroff", end_reason::guest_shutdown},
                                               {"reset", end_reason::guest_reset},
                                               {"panic", end_reason::guest_panic}}));
  config.kernel_params = fmt::format("troupe.test={}", word);
  boot();
  const auto ended = machine->wait(in(60s));
  REQUIRE(ended);
  CHECK(ended->reason == reason);
  CHECK(ended->status == 0);
}

TEST_CASE_METHOD(machine_fixture, "qemu: a microvm boots to its first program") {
  config.machine_type = "microvm";
  config.kernel_params = "troupe.test=poweroff";
  boot();
  const auto ended = machine->wait(in(60s));
  REQUIRE(ended);
  CHECK(console_shows("READY", 0ms));
  CHECK(ended->reason == end_reason::guest_shutdown);
}

TEST_CASE_METHOD(machine_fixture, "qemu: a refused option is told in QEMU's own words") {
  config.cpu_model = "no-such-model";
  make();
  const auto started = machine->start(in(10s));
  REQUIRE_FALSE(started);
  CHECK(started.error().code == errc::host_io);
  CHECK_THAT(started.error().text, Catch::Contains("no-such-model"));
  CHECK_THAT(started.error().text, Catch::StartsWith("qemu: start: "));
  CHECK(machine->stop(in(1s))->reason == end_reason::failed);
  CHECK(journal::find_by_token(config.token).empty());
}

TEST_CASE_METHOD(machine_fixture, "qemu: a device socket nobody listens on is named") {
  config.devices = {hypervisor::vsock_device{"vsock0", folder.file("nobody.sock"), ""}};
  make();
  const auto started = machine->start(in(10s));
  REQUIRE_FALSE(started);
  CHECK_THAT(started.error().text, Catch::Contains("nobody.sock"));
}

TEST_CASE_METHOD(machine_fixture,
                 "qemu: a mute device socket runs into the deadline, and nothing stays") {
  const auto listener = mute_listener(folder.file("mute.sock"));
  config.devices = {hypervisor::vsock_device{"vsock0", folder.file("mute.sock"), ""}};
  make();
  const auto started = machine->start(in(1s));
  REQUIRE_FALSE(started);
  CHECK(started.error().code == errc::deadline_exceeded);
  CHECK_THAT(started.error().text, Catch::Contains("wait for the answer to qmp_capabilities"));
  CHECK(journal::find_by_token(config.token).empty());
}

TEST_CASE_METHOD(machine_fixture, "qemu: stop cuts in on a start that hangs") {
  const auto listener = mute_listener(folder.file("mute.sock"));
  config.devices = {hypervisor::vsock_device{"vsock0", folder.file("mute.sock"), ""}};
  make();
  std::optional<outcome<void>> started;
  std::thread starter{[&] { started = machine->start(in(20s)); }};
  while (!machine->process())
    std::this_thread::sleep_for(1ms);
  const auto before = monotonic_clock::now();
  CHECK(machine->stop(in(5s)));
  starter.join();
  CHECK(monotonic_clock::now() - before < 3s);
  CHECK(started->error().code == errc::cancelled);
}

TEST_CASE_METHOD(machine_fixture, "qemu: control bytes of the guest do not reach the log") {
  config.kernel_params = "troupe.test=escape";
  boot();
  CHECK(console_shows(".[2Jred.[0m"));
}

TEST_CASE_METHOD(machine_fixture, "qemu: dropping a running machine leaves no process") {
  boot();
  const auto pid = machine->process()->pid;
  machine.reset(); // the io thread may hold the last reference for a moment
  const auto end = in(5s);
  while (journal::inspect(pid) && monotonic_clock::now() < end)
    std::this_thread::sleep_for(1ms);
  CHECK_FALSE(journal::inspect(pid));
}

TEST_CASE_METHOD(machine_fixture, "qemu: disks and processors come and go on q35") {
  config.spare_ports = 1;
  config.max_vcpus = 2;
  config.balloon = true;
  boot();
  REQUIRE(console_shows("READY"));
  std::ofstream{folder.file("disk")} << std::string(1 << 20, 'x');

  const hypervisor::block_device disk{"disk0", folder.file("disk"), false, "serial0"};
  const auto added = machine->add_device(disk, in(10s));
  INFO((added ? "" : added.error().to_string()));
  REQUIRE(added);
  CHECK(machine->add_device(disk, in(1s)).error().code == errc::already_exists);
  auto other = disk;
  other.id = "disk1";
  CHECK(machine->add_device(other, in(1s)).error().code == errc::resource_exhausted);
  std::filesystem::resize_file(folder.file("disk"), 2 << 20);
  CHECK(machine->update_device(disk, in(5s)));
  const auto removed = machine->remove_device("disk0", in(30s));
  INFO((removed ? "" : removed.error().to_string()));
  REQUIRE(removed);
  CHECK(machine->remove_device("disk0", in(1s)).error().code == errc::not_found);
  CHECK(machine->add_device(other, in(10s)));

  const auto grown = machine->resize({2, 0}, in(10s));
  INFO((grown ? "" : grown.error().to_string()));
  REQUIRE(grown);
  CHECK(grown->vcpus == 2);
  const auto smaller = machine->resize({0, mib(192)}, in(30s));
  INFO((smaller ? "" : smaller.error().to_string()));
  REQUIRE(smaller);
  CHECK(smaller->memory == mib(192));
  CHECK(machine->resize({5, 0}, in(1s)).error().code == errc::invalid_argument);
}

TEST_CASE_METHOD(machine_fixture, "qemu: a machine without shares writes its state to a file") {
  boot();
  REQUIRE(console_shows("READY"));
  const auto saved = machine->save(folder.file("state"), in(30s));
  INFO((saved ? "" : saved.error().to_string()));
  REQUIRE(saved);
  CHECK(std::filesystem::file_size(folder.file("state")) > mib(4));
  CHECK(events.wait_for<machine_paused>(1s));
}

TEST_CASE_METHOD(machine_fixture, "qemu: what the machine type cannot do is refused by name") {
  boot();
  CHECK(machine->resize({2, 0}, in(1s)).error().code == errc::unimplemented);
  CHECK(machine->resize({0, mib(128)}, in(1s)).error().code == errc::unimplemented);
  const hypervisor::block_device disk{"disk0", config.initrd, true, ""};
  const auto added = machine->add_device(disk, in(1s));
  CHECK(added.error().code == errc::resource_exhausted);
  CHECK_THAT(added.error().text, Catch::Contains("pcie_root_port"));
  const auto can = machine->capabilities();
  CHECK(can.pause);
  CHECK(can.save);
  CHECK_FALSE(can.block_hotplug);
  CHECK_FALSE(can.vcpu_hotplug);
}
