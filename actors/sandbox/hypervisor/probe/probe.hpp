#pragma once

#include "actors/sandbox/hypervisor/machine_config.hpp"
#include "messages/vocabulary/outcome.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace troupe::hypervisor {

/// Below this many guest kernel instructions a second, KVM is emulating them. Hardware does
/// thousands of millions, emulation one or two (nested, shadow-paged, or a software "PVM").
inline constexpr double slow_kvm_mips = 50;

/// The hypervisor that is in this process.
inline constexpr std::string_view builtin_name = "builtin";

/// What /dev/kvm is good for on this host.
struct kvm_report {
  /// The device node exists.
  bool present = false;
  /// A scratch machine ran to its end.
  bool usable = false;
  /// Usable, at hardware speed, and without refusing instructions that Linux needs.
  bool fast = false;
  /// Measured million instructions a second in guest kernel mode; 0 when not usable.
  double mips = 0;
  /// Clock of a guest's processor, in kHz; 0 where it is unknown.
  std::uint32_t tsc_khz = 0;
  /// One sentence for people: what was seen.
  std::string text;

  friend bool operator==(const kvm_report&, const kvm_report&) = default;
};

/// Runs the scratch machine: a millisecond or two on hardware, some 30 where KVM emulates. Never
/// fails: every obstacle is a report.
[[nodiscard]] kvm_report probe_kvm();

/// The same, remembered in `state_dir`/kvm-probe until the next boot. A cache that cannot be read
/// or written costs time, not correctness.
[[nodiscard]] kvm_report probe_kvm_cached(const std::string& state_dir);

/// One line of the cache: "BOOT-ID present usable fast mips tsc_khz text".
[[nodiscard]] std::string format_report(std::string_view boot, const kvm_report& report);
/// Nothing when the line is of another boot or no such line.
[[nodiscard]] std::optional<kvm_report> parse_report(std::string_view boot, std::string_view line);

/// What the configuration says about the choice.
struct wishes {
  /// Key `hypervisor_name`: "auto", "qemu" or "builtin".
  std::string name = "auto";
  /// `allow_emulation` of QEMU's table: QEMU may do without KVM.
  bool qemu_emulation = false;
  /// `allow_emulation` of the built-in VMM's table: a KVM that emulates will do.
  bool builtin_emulation = false;
};

/// What `auto` and the checks came to.
struct choice {
  /// "qemu" or "builtin".
  std::string hypervisor;
  accelerator accel = accelerator::tcg;
  /// The machine runs on a KVM that emulates the guest's kernel: see kernel_params_for().
  bool emulated_kvm = false;
  /// As in kvm_report.
  std::uint32_t tsc_khz = 0;
  /// Why, in one line, for the log and for `troupectl check`.
  std::string why;

  friend bool operator==(const choice&, const choice&) = default;
};

/// The rule, without any effect; docs/configuration.md has it as a table. "auto" never takes a KVM
/// that emulates, which needs a guest kernel of its own.
/// failed_precondition: this host's KVM does not do, and emulation is not allowed; the text says
/// what to do. unimplemented: a hypervisor this build does not have. invalid_argument: not the name
/// of any.
[[nodiscard]] outcome<choice> choose(const wishes& what, const kvm_report& kvm);

} // namespace troupe::hypervisor
