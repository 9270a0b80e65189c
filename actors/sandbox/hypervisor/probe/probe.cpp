#include "actors/sandbox/hypervisor/probe/probe.hpp"

#include "actors/sandbox/hypervisor/probe/scratch_machine_raw.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace troupe::hypervisor {
namespace {

constexpr std::size_t max_cached_text = 512;
/// Hypervisors that the configuration may name but this build does not have.
constexpr std::array<std::string_view, 4> others{"dragonball", "cloud_hypervisor", "firecracker",
                                                 "remote"};

std::string boot_id() {
  std::ifstream file{"/proc/sys/kernel/random/boot_id"};
  std::string text;
  std::getline(file, text);
  return text;
}

std::string cache_path(const std::string& state_dir) {
  return state_dir + "/kvm-probe";
}

void store(const std::string& state_dir, const kvm_report& report) {
  const auto path = cache_path(state_dir);
  const auto next = fmt::format("{}.{}", path, ::getpid());
  std::ofstream{next} << format_report(boot_id(), report);
  if (std::rename(next.c_str(), path.c_str()) != 0)
    std::remove(next.c_str());
}

kvm_report judge(const scratch_result& seen) {
  kvm_report report{true, true, false, seen.mips, seen.tsc_khz, {}};
  report.fast = seen.mips >= slow_kvm_mips && !seen.refuses_instructions;
  report.text = fmt::format("/dev/kvm runs {:.3g} million guest instructions a second{}", seen.mips,
                            seen.refuses_instructions ? " and refuses some (it emulates)" : "");
  return report;
}

choice with_kvm(const char* hypervisor, const kvm_report& kvm) {
  return {hypervisor, accelerator::kvm, false, kvm.tsc_khz, kvm.text};
}

outcome<choice> choose_qemu(const wishes& what, const kvm_report& kvm) {
  if (kvm.fast)
    return with_kvm("qemu", kvm);
  if (what.qemu_emulation)
    return choice{"qemu", accelerator::tcg, false, kvm.tsc_khz,
                  kvm.text + "; machines are emulated (TCG), because allow_emulation is set: "
                             "slow, and no security boundary"};
  return fail(errc::failed_precondition,
              "{}; use a host with hardware virtualisation, or set hypervisor.qemu.allow_emulation "
              "= true to emulate (slow, and no security boundary)",
              kvm.text);
}

outcome<choice> choose_builtin(const wishes& what, const kvm_report& kvm) {
  if (!kvm.usable)
    return fail(errc::failed_precondition,
                "{}; the built-in VMM needs KVM: use a host with hardware virtualisation, or "
                "hypervisor_name = \"qemu\" with hypervisor.qemu.allow_emulation = true",
                kvm.text);
  auto chosen = with_kvm("builtin", kvm);
  if (kvm.fast)
    return chosen;
  if (!what.builtin_emulation)
    return fail(errc::failed_precondition,
                "{}; use a host with hardware virtualisation, or set "
                "hypervisor.builtin.allow_emulation = true for a slow machine, with a kernel made "
                "for it",
                kvm.text);
  chosen.emulated_kvm = true;
  chosen.why += "; machines run on it all the same, because allow_emulation is set: slow";
  return chosen;
}

} // namespace

kvm_report probe_kvm() {
  const auto seen = run_scratch_machine();
  if (seen)
    return judge(*seen);
  kvm_report report;
  report.present = seen.error().code != errc::not_found;
  report.text = report.present ? fmt::format("/dev/kvm is not usable: {}", seen.error().text)
                               : seen.error().text;
  return report;
}

kvm_report probe_kvm_cached(const std::string& state_dir) {
  std::ifstream file{cache_path(state_dir)};
  std::string line;
  if (std::getline(file, line))
    if (const auto known = parse_report(boot_id(), line))
      return *known;
  auto report = probe_kvm();
  store(state_dir, report);
  return report;
}

std::string format_report(std::string_view boot, const kvm_report& report) {
  return fmt::format("{} {:d} {:d} {:d} {} {} {}\n", boot, report.present, report.usable,
                     report.fast, report.mips, report.tsc_khz, report.text);
}

std::optional<kvm_report> parse_report(std::string_view boot, std::string_view line) {
  std::istringstream in{std::string{line.substr(0, max_cached_text)}};
  std::string written_in;
  kvm_report report;
  if (!(in >> written_in >> report.present >> report.usable >> report.fast >> report.mips >>
        report.tsc_khz) ||
      written_in != boot)
    return std::nullopt;
  in.get();
  std::getline(in, report.text);
  return report;
}

outcome<choice> choose(const wishes& what, const kvm_report& kvm) {
  if (std::ranges::find(others, what.name) != others.end())
    return fail(errc::unimplemented,
                "hypervisor_name: {} is not part of this build; use \"builtin\", \"qemu\" or "
                "\"auto\"",
                what.name);
  if (what.name == "builtin")
    return choose_builtin(what, kvm);
  if (what.name == "qemu")
    return choose_qemu(what, kvm);
  if (what.name != "auto")
    return fail(errc::invalid_argument, "hypervisor_name: there is no hypervisor \"{}\"",
                what.name);
  return kvm.fast ? choose_builtin(what, kvm) : choose_qemu(what, kvm);
}

} // namespace troupe::hypervisor
