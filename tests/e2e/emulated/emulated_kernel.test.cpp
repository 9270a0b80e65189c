// Boots vmlinux-emulated on this host's KVM, of whatever kind, until the agent listens.
#include "actors/sandbox/hypervisor/qemu/host.hpp"
#include "actors/vcpu/kernel_params.hpp"
#include "messages/vocabulary/unique_fd.hpp"
#include "messages/vocabulary/units.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

using namespace troupe;

namespace {

/// A busy host gives a guest a fifth of its time; alone it needs six seconds.
constexpr seconds boot_limit{200};

[[noreturn]] void skip(const char* missing) {
  std::printf("SKIP emulated_kernel: %s\n", missing);
  std::fflush(stdout);
  ::_exit(77);
}

std::vector<std::string> qemu_words() {
  const auto host = hypervisor::qemu::read_host_facts();
  const auto params = kernel_params_for(kvm_kind::emulating, host.tsc_khz).value();
  return {
      "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
      // No ACPI: devices are on the command line. Linux waits a second for a clock that is absent.
      "-M", "microvm,accel=kvm,acpi=off,rtc=on", "-m", "128M", "-display", "none",
      // With family 6 Linux moves memory by `rep`, emulated faster than loops.
      "-cpu", "qemu64,family=6,model=42,-cx16,-xsave", "-serial", "stdio", "-kernel", TROUPE_KERNEL,
      "-initrd", TROUPE_INITRD, "-append", "console=ttyS0 quiet panic=-1 " + params};
}

class guest {
public:
  guest() {
    auto words = qemu_words();
    std::vector<char*> arguments;
    for (auto& word : words)
      arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    console_.reset(ends[0]);
    const unique_fd output{ends[1]};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output.get(), 1);
    const int error =
        ::posix_spawnp(&child_, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error == ENOENT)
      skip("no QEMU; the package is qemu-system-x86");
    REQUIRE(error == 0);
  }
  guest(const guest&) = delete;
  guest& operator=(const guest&) = delete;
  ~guest() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }

  /// What the console said until `words`, its end or the limit.
  std::string console_until(std::string_view words) {
    const auto until = monotonic_clock::now() + boot_limit;
    std::string text;
    while (text.find(words) == text.npos && monotonic_clock::now() < until) {
      pollfd ready{console_.get(), POLLIN, 0};
      std::array<char, 4096> buffer{};
      if (::poll(&ready, 1, 1000) != 1)
        continue;
      const auto some = ::read(console_.get(), buffer.data(), buffer.size());
      if (some <= 0)
        break;
      text.append(buffer.data(), static_cast<std::size_t>(some));
    }
    return text;
  }

private:
  unique_fd console_;
  pid_t child_ = 0;
};

} // namespace

TEST_CASE("the agent comes up where KVM emulates, and misses nothing") {
  if (::access("/dev/kvm", R_OK | W_OK) != 0)
    skip("no /dev/kvm");
  if (::access(TROUPE_KERNEL, R_OK) != 0)
    skip("no kernel; guest/kernel/build emulated build/guest makes it");
  const auto began = monotonic_clock::now();
  const auto text = guest{}.console_until("listening on vsock 1024");
  const std::chrono::duration<double> took = monotonic_clock::now() - began;
  INFO(text);
  CHECK(text.find("listening on vsock 1024") != text.npos);
  CHECK(text.find("\"level\":\"WARN\"") == text.npos);
  CHECK(text.find("\"level\":\"ERRO\"") == text.npos);
  std::printf("the agent listened after %.1f s\n", took.count());
}
