#pragma once

#include "messages/vocabulary/units.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace troupe::vcpu {

/// What becomes of a processor after a write.
enum class after_write : std::uint8_t {
  go_on,
  /// The machine was asked to end (a reset port, a power-off register): the processor parks.
  stop,
};

/// Where a guest's accesses to ports and to addresses without memory go: the machine's bus.
///
/// Called on the processors' threads, several at a time, while the guest waits for the answer. An
/// exception ends that processor with handler_failed. Reads find their buffer zeroed, so an address
/// nobody serves reads as zeros; a handler that knows better fills it with ones.
class io_handler {
public:
  virtual ~io_handler() = default;

  /// 1, 2 or 4 bytes; a string instruction comes as one call per element.
  virtual void port_read(std::uint16_t port, std::span<std::byte> data) = 0;
  [[nodiscard]] virtual after_write port_write(std::uint16_t port,
                                               std::span<const std::byte> data) = 0;
  /// 1 ... 8 bytes.
  virtual void memory_read(gpa at, std::span<std::byte> data) = 0;
  [[nodiscard]] virtual after_write memory_write(gpa at, std::span<const std::byte> data) = 0;
};

/// Why a processor will never run again.
enum class end_reason : std::uint8_t {
  asked,               ///< end() was called.
  handler_asked,       ///< A handler answered `stop`: the guest wants reset or power-off.
  handler_failed,      ///< A handler threw.
  shutdown,            ///< Triple fault.
  system_event,        ///< The guest asked the platform through KVM.
  internal_error,      ///< KVM could not go on.
  refused_entry,       ///< The hardware refused the guest's state.
  hlt_without_irqchip, ///< Halted, and nothing in the kernel could ever wake it.
  unexpected_exit,     ///< One we never asked for.
  host_error,          ///< KVM_RUN failed, or spoke nonsense.
  start_failed,        ///< The hook on the thread's start failed; no guest code ran.
};

/// Short snake_case name, as in logs. Never empty.
[[nodiscard]] std::string_view name(end_reason reason) noexcept;

struct vcpu_end {
  end_reason reason = end_reason::asked;
  /// One line: what happened; for faults of guest or KVM with registers and instruction bytes.
  std::string text;
};

} // namespace troupe::vcpu
