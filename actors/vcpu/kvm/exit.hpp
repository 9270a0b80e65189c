#pragma once

#include "messages/vocabulary/units.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

/// Why KVM_RUN came back, one plain struct per reason we act on.
namespace troupe::kvm {

/// Longest x86 instruction.
inline constexpr std::size_t max_instruction = 15;

/// IN, OUT and their string forms. `data` is `count` elements of `width` bytes in the vCPU's shared
/// page: read from it before, write to it until the next run.
struct port_exit {
  std::uint16_t port = 0;
  bool in = false;
  std::size_t width = 0; ///< 1, 2 or 4
  std::span<std::byte> data;
};

/// An access to an address without memory; `data` is at most 8 bytes in the shared page.
struct memory_exit {
  gpa at = 0;
  bool write = false;
  std::span<std::byte> data;
};

/// HLT, which only leaves KVM when the machine has no interrupt controller in the kernel.
struct halt_exit {};
/// The guest can take an interrupt now.
struct irq_window_exit {};
/// A signal ended the run.
struct signal_exit {};
/// A fault while delivering a double fault: the processor gives up.
struct shutdown_exit {};
/// The hardware refused the guest's state.
struct refused_entry_exit {
  std::uint64_t reason = 0;
  std::uint32_t cpu = 0;
};
/// KVM is at its wits' end.
struct internal_error_exit {
  std::uint32_t suberror = 0;
  std::array<std::uint64_t, 16> data{};
  std::size_t data_count = 0;
  /// The instruction KVM could not emulate, where it says so.
  std::array<std::byte, max_instruction> instruction{};
  std::size_t instruction_size = 0;
};
/// The guest asked the platform for something (KVM_SYSTEM_EVENT_*).
struct system_event_exit {
  std::uint32_t type = 0;
  std::uint64_t flags = 0;
};
/// Any other, which we never asked for.
struct unexpected_exit {
  std::uint32_t reason = 0;
};

using exit_event =
    std::variant<port_exit, memory_exit, halt_exit, irq_window_exit, signal_exit, shutdown_exit,
                 refused_entry_exit, internal_error_exit, system_event_exit, unexpected_exit>;

} // namespace troupe::kvm
