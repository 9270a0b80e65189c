// Bare guests with drivers of their own meet the devices and the machine on /dev/kvm.
#include "actors/devices/virtio/blk/device.hpp"
#include "actors/devices/virtio/blk/host_file.hpp"
#include "actors/devices/virtio/console/device.hpp"
#include "actors/devices/virtio/fs/device.hpp"
#include "actors/devices/virtio/rng/device.hpp"
#include "actors/devices/virtio/vsock/device.hpp"
#include "actors/vcpu/kvm/abi.hpp"
#include "tests/kvm/bare_machine.hpp"
#include "tests/kvm/machine.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <fstream>
#include <thread>

using namespace troupe;
using namespace troupe::testing;
using vcpu::machine_end;

namespace {

constexpr milliseconds limit{10'000};
constexpr byte_count disk_size = mib(1);

std::unique_ptr<virtio::device> some_disk(const std::string& path, blk::engine_kind engine) {
  unique_fd file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  REQUIRE(::ftruncate(file.get(), static_cast<off_t>(disk_size)) == 0);
  blk::disk_options how;
  how.engine = engine;
  how.serial = "bare-disk";
  return std::make_unique<blk::device>(
      must(blk::disk::make(must(blk::host_file::adopt(std::move(file), false)), how)));
}

std::string words_for_disk() {
  return "windows=4 sectors=" + std::to_string(disk_size / blk::wire::sector);
}

void check_good(bare_machine& m, const vcpu::ending& how) {
  INFO(story(m, how));
  CHECK(how.why == machine_end::exit_code);
  CHECK(how.code == 0);
}

/// Serves one connection at `path`: sends back what comes.
std::thread echo_at(const std::string& path) {
  auto fd = std::make_shared<unique_fd>(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof(name.sun_path) - 1);
  REQUIRE(::bind(fd->get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  REQUIRE(::listen(fd->get(), 1) == 0);
  return std::thread{[fd] {
    pollfd ready{fd->get(), POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(guest_patience.count())) != 1)
      return;
    const unique_fd peer{::accept4(fd->get(), nullptr, nullptr, SOCK_CLOEXEC)};
    std::array<char, 256> bytes{};
    for (;;) {
      const auto got = ::read(peer.get(), bytes.data(), bytes.size());
      if (got <= 0 || ::write(peer.get(), bytes.data(), static_cast<std::size_t>(got)) != got)
        return;
    }
  }};
}

// From now on the process and its threads to come are refused this ioctl.
void refuse_ioctl(unsigned long request) {
  std::array<sock_filter, 6> rules{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 0, 3),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(request), 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{rules.size(), rules.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    ::_exit(2);
}

} // namespace

TEST_CASE("guest: finds each device in its window, and an empty window empty") {
  const test::scratch_folder folder;
  bare_machine m;
  (void)m.plug(some_disk(folder.file("disk"), blk::engine_kind::threads));
  (void)m.plug(std::make_unique<rng::device>());
  (void)m.plug(
      std::make_unique<console::device>(std::make_shared<console::port>([](std::string_view) {})));
  check_good(m, m.run("probe", "windows=4 devices=3"));
}

TEST_CASE("guest: disk by interrupt: written, flushed, read back; what is wrong fails") {
  const auto engine = GENERATE(blk::engine_kind::io_uring, blk::engine_kind::threads);
  const test::scratch_folder folder;
  bare_machine m;
  auto& session = m.plug(some_disk(folder.file("disk"), engine));
  check_good(m, m.run("blk", words_for_disk()));
  CHECK(must(session.stats(limit)).register_kicks == 0);
  std::ifstream file{folder.file("disk"), std::ios::binary};
  file.seekg(3 * 512 + 258);
  CHECK(file.get() == static_cast<unsigned char>(258 * 7 + 1));
}

TEST_CASE("guest: entropy, whole and in parts") {
  bare_machine m;
  (void)m.plug(std::make_unique<rng::device>());
  check_good(m, m.run("rng"));
}

TEST_CASE("guest: console: its line comes out, the answer goes in") {
  std::string heard;
  std::shared_ptr<console::port> port;
  port = std::make_shared<console::port>([&](std::string_view text) {
    heard += text;
    if (heard == "anybody there?\n")
      must(port->type("here\n"));
  });
  bare_machine m;
  (void)m.plug(std::make_unique<console::device>(port));
  check_good(m, m.run("console"));
  (void)m.tear_down();
  CHECK(heard == "anybody there?\n");
}

TEST_CASE("guest: vsock: calls a host port, and has an echo; nobody's port resets") {
  const test::scratch_folder folder;
  const auto path = folder.file("vsock");
  auto echo = echo_at(path + "_5000");
  bare_machine m;
  (void)m.plug(std::make_unique<vsock::device>(42, must(vsock::endpoint::listen(path))));
  check_good(m, m.run("vsock", "port=5000 cid=42"));
  (void)m.tear_down();
  echo.join();
}

TEST_CASE("guest: fs: finds, opens and reads a file of the host") {
  const test::scratch_folder folder;
  std::ofstream{folder.file("greeting")} << "hello from the host\n";
  const auto shares = std::make_shared<fuse::session>();
  must(shares->add_share(
      "data", unique_fd{::open(folder.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)}, {}));
  virtio::fs_options how;
  how.tag = "bare-share";
  bare_machine m;
  (void)m.plug(must(virtio::fs_device::make(shares, how)));
  check_good(m, m.run("fs"));
}

TEST_CASE("guest: a disk reset while it works is new each time, and lets go of memory") {
  const auto engine = GENERATE(blk::engine_kind::io_uring, blk::engine_kind::threads);
  const test::scratch_folder folder;
  bare_machine m;
  auto& session = m.plug(some_disk(folder.file("disk"), engine));
  check_good(m, m.run("device_reset", "windows=4 rounds=20"));
  const auto stats = must(session.stats(limit));
  CHECK(stats.resets >= 40);
  CHECK(stats.overdue == 0);
}

TEST_CASE("guest: what of a PC there is: serial port and its line, clock, keyboard controller") {
  bare_machine m;
  const auto how = m.run("legacy");
  check_good(m, how);
  CHECK(m.console() == "a line of text\nand half a line\n");
}

TEST_CASE("guest: all processors start and share memory") {
  const auto cpus = GENERATE(2U, 3U, 4U);
  auto order = small_order();
  order.vcpus = cpus;
  order.max_vcpus = cpus;
  bare_machine m{order};
  check_good(m, m.run("smp", "cpus=" + std::to_string(cpus)));
  CHECK(m.console() == "all counted\n");
  CHECK(m.told() == 1);
}

TEST_CASE("guest: before it is loaded, its processors stand and cannot be let go") {
  auto order = small_order();
  order.vcpus = order.max_vcpus = 2;
  bare_machine m{order};
  REQUIRE(m.it().processors().size() == 2);
  CHECK(m.it().resume().error().code == errc::failed_precondition);
  CHECK(m.it().pause(limit));
  for (const auto& it : m.it().processors())
    CHECK(it->where() == vcpu::phase::paused);
  check_good(m, m.run("smp", "cpus=2"));
}

TEST_CASE("guest: a processor that cannot be set up, is told when the guest is loaded") {
  const auto child = ::fork();
  if (child == 0) { // A filter cannot be taken back.
    refuse_ioctl(kvm::abi::set_cpuid2);
    bare_machine m;
    const auto loaded = m.it().load({guest_file("probe"), {}, {}});
    const auto told = !loaded && loaded.error().code == errc::host_io &&
                      loaded.error().text.find("vcpu0: ") != std::string::npos &&
                      loaded.error().text.find("KVM_SET_CPUID2") != std::string::npos;
    const auto stays = m.it().resume().error().code == errc::failed_precondition;
    ::_exit(told && stays && m.tear_down() < teardown_bound ? 0 : 1);
  }
  int result = -1;
  REQUIRE(::waitpid(child, &result, 0) == child);
  CHECK(result == 0);
}

TEST_CASE("guest: one that ends before all its processors were let go has run all the same") {
  auto order = small_order();
  order.vcpus = order.max_vcpus = 8;
  for (int i = 0; i < 20; ++i) {
    bare_machine m{order};
    CHECK(m.run("power_off").why == machine_end::power_off);
  }
}

TEST_CASE("guest: pause holds it between two instructions, resume lets it go on") {
  const test::scratch_folder folder;
  bare_machine m;
  (void)m.plug(some_disk(folder.file("disk"), blk::engine_kind::threads));
  m.boot("device_reset", "windows=4 rounds=20");
  for (int i = 0; i < 50 && !m.it().how(); ++i) {
    if (const auto paused = m.it().pause(limit); !paused)
      break; // It has ended meanwhile.
    if (!m.it().resume())
      break;
  }
  check_good(m, m.wait());
}
