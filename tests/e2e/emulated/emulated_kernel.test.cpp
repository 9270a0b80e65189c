// Boots vmlinux-emulated on this host's KVM, of whatever kind, until the agent listens.
#include "actors/sandbox/hypervisor/qemu/host.hpp"
#include "actors/vcpu/kernel_params.hpp"
#include "messages/vocabulary/units.hpp"
#include "tests/support/qemu_process.hpp"
#include "tests/support/skip.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

using namespace troupe;
using namespace troupe::testing;

namespace {

/// A busy host gives a guest a fifth of its time; alone it needs six seconds.
constexpr seconds boot_limit{200};

std::vector<std::string> qemu_words() {
  const auto host = hypervisor::qemu::read_host_facts();
  const auto params = kernel_params_for(kvm_kind::emulating, host.tsc_khz).value();
  return {
      // No ACPI: devices are on the command line. Linux waits a second for a clock that is absent.
      "-M", "microvm,accel=kvm,acpi=off,rtc=on", "-m", "128M",
      // With family 6 Linux moves memory by `rep`, emulated faster than loops.
      "-cpu", "qemu64,family=6,model=42,-cx16,-xsave", "-kernel", TROUPE_KERNEL, "-initrd",
      TROUPE_INITRD, "-append", "console=ttyS0 quiet panic=-1 " + params};
}

/// What the console of a new machine said until `words`, its end or the limit.
std::string console_until(std::string_view words) {
  qemu_process machine{qemu_words()};
  const auto until = monotonic_clock::now() + boot_limit;
  std::string text;
  while (text.find(words) == text.npos) {
    const auto line = machine.next_line(until);
    if (!line)
      break;
    text += *line + "\n";
  }
  return text;
}

} // namespace

TEST_CASE("the agent comes up where KVM emulates, and misses nothing") {
  need(::access("/dev/kvm", R_OK | W_OK) == 0, "/dev/kvm");
  need(::access(qemu_binary, X_OK) == 0, "QEMU; the package is qemu-system-x86");
  need(::access(TROUPE_KERNEL, R_OK) == 0,
       "a kernel; guest/kernel/build emulated build/guest makes it");
  const auto began = monotonic_clock::now();
  const auto text = console_until("listening on vsock 1024");
  const std::chrono::duration<double> took = monotonic_clock::now() - began;
  INFO(text);
  CHECK(text.find("listening on vsock 1024") != text.npos);
  CHECK(text.find("\"level\":\"WARN\"") == text.npos);
  CHECK(text.find("\"level\":\"ERRO\"") == text.npos);
  std::printf("the agent listened after %.1f s\n", took.count());
}
