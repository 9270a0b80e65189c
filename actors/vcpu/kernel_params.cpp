#include "actors/vcpu/kernel_params.hpp"

#include <array>
#include <string_view>

namespace troupe {
namespace {

/// The guest keeps an eighth of its clock in 32 bits of Hz; above that its timers go wrong.
constexpr std::uint32_t max_tsc_khz = 34'000'000;

/// CPUID in such a guest is the processor's, whatever the VMM asks for; so the guest is told to
/// keep its hands off what KVM refuses.
constexpr std::array<std::string_view, 11> emulating_words{
    "no_timer_check",  // ticks come too late for the test
    "tsc=reliable",    // there is no second clock to compare it with
    "lpj=1000000",     // or the delay loop is measured
    "mitigations=off", // nothing is executed speculatively
    "nofsgsbase",
    "nopcid",
    "noxsave", // FXSAVE is not refused
    "clearcpuid=cx16,smap,smep,erms,fsrm,rdtscp,rdpid,popcnt,abm,bmi1,bmi2,invpcid,xsaves,xsavec,"
    "pku",
    "rodata=off", // two seconds of changes to page tables
    "reboot=k",   // a triple fault is refused too, a keyboard controller is not
    // Becomes the environment of process 1. Without XSAVE nobody keeps wide registers at a switch,
    // and user mode, which is not emulated, has them all the same.
    "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX_Fast_Unaligned_Load",
};

} // namespace

outcome<std::string> kernel_params_for(kvm_kind kind, std::uint32_t tsc_khz) {
  if (kind == kvm_kind::hardware)
    return std::string{};
  if (tsc_khz == 0 || tsc_khz > max_tsc_khz)
    return fail(errc::failed_precondition,
                "kernel parameters: the host's clock is {} kHz, and this KVM's guests cannot "
                "measure it",
                tsc_khz);
  auto line = fmt::format("tsc_early_khz={}", tsc_khz);
  for (const auto word : emulating_words)
    line.append(" ").append(word);
  return line;
}

} // namespace troupe
