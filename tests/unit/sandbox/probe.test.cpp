#include "actors/sandbox/hypervisor/probe/probe.hpp"
#include "tests/unit/sandbox/scratch.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace troupe;
using namespace troupe::hypervisor;
using troupe::test::scratch_folder;

namespace {

const kvm_report none{false, false, false, 0, "there is no /dev/kvm"};
const kvm_report slow{true, true, false, 0.5, "/dev/kvm emulates"};
const kvm_report fast{true, true, true, 3000, "/dev/kvm is fast"};

} // namespace

TEST_CASE("probe: fast KVM is used, whatever is allowed") {
  for (const char* name : {"auto", "qemu"})
    for (const bool allowed : {false, true}) {
      const auto chosen = choose(name, allowed, fast);
      REQUIRE(chosen);
      CHECK(chosen->hypervisor == "qemu");
      CHECK(chosen->accel == accelerator::kvm);
      CHECK(chosen->why == "/dev/kvm is fast");
    }
}

TEST_CASE("probe: without fast KVM there is emulation when allowed, and advice when not") {
  for (const auto& kvm : {none, slow}) {
    const auto allowed = choose("auto", true, kvm);
    REQUIRE(allowed);
    CHECK(allowed->accel == accelerator::tcg);
    CHECK_THAT(allowed->why, Catch::StartsWith(kvm.text) && Catch::Contains("no security"));
    const auto refused = choose("qemu", false, kvm);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::failed_precondition);
    CHECK_THAT(refused.error().text, Catch::Contains("allow_emulation = true"));
  }
}

TEST_CASE("probe: other hypervisors are refused by name") {
  CHECK(choose("builtin", true, fast).error().code == errc::unimplemented);
  CHECK(choose("qemux", true, fast).error().code == errc::invalid_argument);
  CHECK(choose("", true, fast).error().code == errc::invalid_argument);
}

TEST_CASE("probe: a remembered report comes back in the same boot only") {
  const auto line = format_report("boot-1", slow);
  CHECK(line == "boot-1 1 1 0 0.5 /dev/kvm emulates\n");
  CHECK(parse_report("boot-1", "boot-1 1 1 0 0.5 /dev/kvm emulates") == slow);
  CHECK_FALSE(parse_report("boot-2", line));
  for (const char* bad : {"", "boot-1", "boot-1 1 1 x 0.5 t", "boot-1 7 1 0 0.5 t"})
    CHECK_FALSE(parse_report("boot-1", bad));
}

TEST_CASE("probe: what this host's KVM can do is found out and remembered") {
  const scratch_folder folder;
  const auto first = probe_kvm_cached(folder.path());
  CAPTURE(first.text);
  CHECK(first.usable == (first.mips > 0));
  CHECK((first.present || !first.usable));
  CHECK((first.usable || !first.fast));
  CHECK(std::filesystem::exists(folder.file("kvm-probe")));
  const auto second = probe_kvm_cached(folder.path());
  CHECK(second.text == first.text);
  CHECK(second.fast == first.fast);
}

TEST_CASE("probe: a cache that cannot be written costs nothing but time") {
  CHECK(probe_kvm_cached("/nowhere/at/all").text.size() > 10);
}
