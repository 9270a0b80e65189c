#pragma once

#include "actors/vcpu/run/exits.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::vcpu {

/// Why a machine will not run again.
enum class machine_end : std::uint8_t {
  asked,     ///< end() was called.
  power_off, ///< The guest switched itself off.
  reset,     ///< The guest pulled the reset line.
  panic,     ///< The guest's kernel gave up.
  fault,     ///< The guest broke the processor: a triple fault.
  exit_code, ///< A test guest said how it went.
  failed,    ///< KVM or the host could not go on.
};
[[nodiscard]] std::string_view name(machine_end why) noexcept;

struct ending {
  machine_end why = machine_end::asked;
  /// One line; for faults with registers and instruction bytes.
  std::string text;
  /// Of exit_code.
  std::uint32_t code = 0;
};

/// What a processor's end means for its machine. Pure.
[[nodiscard]] ending ending_of(const vcpu_end& processor);

/// The first end counts and is told once; a panic is said before the reset that follows it. Any
/// thread.
class end_record {
public:
  explicit end_record(std::function<void(const ending&)> tell) : tell_(std::move(tell)) {}

  /// Whether it was the first.
  bool record(ending how);
  [[nodiscard]] std::optional<ending> how() const;
  /// A cheap look, for threads of processors.
  [[nodiscard]] bool over() const noexcept { return over_.load(std::memory_order_acquire); }

private:
  std::function<void(const ending&)> tell_;
  std::atomic<bool> over_ = false;
  mutable std::mutex mutex_; // Guards how_.
  std::optional<ending> how_;
};

} // namespace troupe::vcpu
