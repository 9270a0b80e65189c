#include "actors/sandbox/hypervisor/probe/probe.hpp"
#include "tests/support/scratch.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <fstream>

using namespace troupe;
using namespace troupe::hypervisor;
using troupe::test::scratch_folder;

namespace {

const kvm_report none{false, false, false, 0, 0, "there is no /dev/kvm"};
const kvm_report broken{true, false, false, 0, 0, "/dev/kvm is not usable: no"};
const kvm_report slow{true, true, false, 0.5, 2'600'000, "/dev/kvm emulates"};
const kvm_report fast{true, true, true, 3000, 2'600'000, "/dev/kvm is fast"};

/// What is expected of one name: "builtin", "qemu" (with KVM), "tcg", "emulating" (the built-in VMM
/// on such a KVM) or "refused".
std::string outcome_of(const wishes& what, const kvm_report& kvm) {
  const auto chosen = choose(what, kvm);
  if (!chosen) {
    CHECK(chosen.error().code == errc::failed_precondition);
    CHECK_THAT(chosen.error().text, Catch::StartsWith(kvm.text) && Catch::Contains("use a host"));
    return "refused";
  }
  CHECK_THAT(chosen->why, Catch::StartsWith(kvm.text));
  CHECK(chosen->tsc_khz == kvm.tsc_khz);
  if (chosen->accel == accelerator::tcg) {
    CHECK(chosen->hypervisor == "qemu");
    CHECK_FALSE(chosen->emulated_kvm);
    CHECK_THAT(chosen->why, Catch::Contains("no security boundary"));
    return "tcg";
  }
  if (chosen->emulated_kvm) {
    CHECK(chosen->hypervisor == "builtin");
    CHECK_THAT(chosen->why, Catch::EndsWith("slow"));
    return "emulating";
  }
  CHECK(chosen->why == kvm.text);
  return chosen->hypervisor;
}

struct expected {
  const char* name;
  const kvm_report* kvm;
  /// By what is allowed: nothing, QEMU's emulation, the built-in VMM's, both.
  std::array<const char*, 4> results;
};

const expected whole_product[] = {
    {"auto", &fast, {"builtin", "builtin", "builtin", "builtin"}},
    {"auto", &slow, {"refused", "tcg", "refused", "tcg"}},
    {"auto", &broken, {"refused", "tcg", "refused", "tcg"}},
    {"auto", &none, {"refused", "tcg", "refused", "tcg"}},
    {"qemu", &fast, {"qemu", "qemu", "qemu", "qemu"}},
    {"qemu", &slow, {"refused", "tcg", "refused", "tcg"}},
    {"qemu", &broken, {"refused", "tcg", "refused", "tcg"}},
    {"qemu", &none, {"refused", "tcg", "refused", "tcg"}},
    {"builtin", &fast, {"builtin", "builtin", "builtin", "builtin"}},
    {"builtin", &slow, {"refused", "refused", "emulating", "emulating"}},
    {"builtin", &broken, {"refused", "refused", "refused", "refused"}},
    {"builtin", &none, {"refused", "refused", "refused", "refused"}},
};

} // namespace

TEST_CASE("probe: every name on every kind of KVM, by what is allowed") {
  for (const auto& row : whole_product)
    for (std::size_t allowed = 0; allowed < row.results.size(); ++allowed) {
      CAPTURE(row.name, row.kvm->text, allowed);
      const wishes what{row.name, (allowed & 1) != 0, (allowed & 2) != 0};
      CHECK(outcome_of(what, *row.kvm) == row.results[allowed]);
    }
}

TEST_CASE("probe: a refusal says which key would help") {
  const auto advice = [](const char* name, const kvm_report& kvm) {
    return choose({name}, kvm).error().text;
  };
  CHECK_THAT(advice("auto", none), Catch::Contains("hypervisor.qemu.allow_emulation = true"));
  CHECK_THAT(advice("qemu", slow), Catch::Contains("hypervisor.qemu.allow_emulation = true"));
  CHECK_THAT(advice("builtin", slow), Catch::Contains("hypervisor.builtin.allow_emulation = true"));
  CHECK_THAT(advice("builtin", none), Catch::Contains("hypervisor_name = \"qemu\""));
}

TEST_CASE("probe: other hypervisors are refused by name") {
  CHECK(choose({"dragonball", true, true}, fast).error().code == errc::unimplemented);
  CHECK(choose({"qemux", true, true}, fast).error().code == errc::invalid_argument);
  CHECK(choose({"", true, true}, fast).error().code == errc::invalid_argument);
}

TEST_CASE("probe: a remembered report comes back in the same boot only") {
  const auto line = format_report("boot-1", slow);
  CHECK(line == "boot-1 1 1 0 0.5 2600000 /dev/kvm emulates\n");
  CHECK(parse_report("boot-1", "boot-1 1 1 0 0.5 2600000 /dev/kvm emulates") == slow);
  CHECK_FALSE(parse_report("boot-2", line));
  for (const char* bad :
       {"", "boot-1", "boot-1 1 1 x 0.5 1 t", "boot-1 7 1 0 0.5 1 t", "boot-1 1 1 0 0.5 t"})
    CHECK_FALSE(parse_report("boot-1", bad));
}

TEST_CASE("probe: what this host's KVM can do is found out and remembered") {
  const scratch_folder folder;
  const auto first = probe_kvm_cached(folder.path());
  CAPTURE(first.text);
  CHECK(first.usable == (first.mips > 0));
  CHECK((first.present || !first.usable));
  CHECK((first.usable || !first.fast));
  CHECK((first.usable || first.tsc_khz == 0));
  CHECK(std::filesystem::exists(folder.file("kvm-probe")));
  const auto second = probe_kvm_cached(folder.path());
  CHECK(second.text == first.text);
  CHECK(second.fast == first.fast);
  CHECK(second.tsc_khz == first.tsc_khz);
}

TEST_CASE("probe: a cache that cannot be written costs nothing but time") {
  CHECK(probe_kvm_cached("/nowhere/at/all").text.size() > 10);
}
