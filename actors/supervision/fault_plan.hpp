#pragma once

#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// What happens at a point of the fault plan.
enum class fault_kind : std::uint8_t {
  kill,     ///< The actor or slot ends at once, without clean-up of its own.
  throw_up, ///< An exception leaves the handler ("throw" in the text form).
  delay,    ///< The step happens later.
  drop,     ///< The step does not happen and nobody is told.
  fail,     ///< The step answers with a failure.
};

struct fault_action {
  fault_kind kind = fault_kind::drop;
  milliseconds delay{0};
  /// Of `fail`: what the step answers. Its text names the point.
  failure why;
};

/// Most rules of one plan: an operator's file must not slow every message down without end.
inline constexpr std::size_t max_fault_rules = 64;
/// Longest delay a rule may ask for: longer than any stage's deadline, shorter than a lost
/// afternoon.
inline constexpr milliseconds max_fault_delay{600'000};

/// Faults to be played at named points: every actor's message boundary, every external effect,
/// every stage of a device's request slot. Off unless a configuration or a test asks for it.
///
/// One rule a line, `POINT ACTION [WHEN]`:
///   actor:sandbox/c1/agent:create_task throw @2      the second time only
///   fx:mount                           fail(EIO)     every time
///   fx:*                               delay(20) @3+ the third time and from then on
///   slot:virtio-fs:taken               kill %0.01 seed 7   each time with this probability
/// ACTION is kill, throw, drop, delay(MILLISECONDS) or fail(X), X an errno name we know or an error
/// code of ours. In POINT a `*` stands for any text. An empty line and one that starts with # are
/// skipped.
///
/// Any thread. hit() while nothing is armed costs one relaxed load.
class fault_plan {
public:
  /// A plan without rules.
  fault_plan() = default;

  /// invalid_argument names the rule's number and what is wrong with it; resource_exhausted above
  /// max_fault_rules. Takes a list of rules, as a configuration file holds it.
  [[nodiscard]] static outcome<std::shared_ptr<fault_plan>>
  parse(std::span<const std::string> rules);
  /// The same for one text, a rule a line.
  [[nodiscard]] static outcome<std::shared_ptr<fault_plan>> parse_text(std::string_view text);

  /// Puts the rules of `text` in place of those it has, with all counts at zero. As parse_text;
  /// after a failure nothing has changed.
  [[nodiscard]] outcome<void> arm(std::string_view text);

  /// Whether any rule is left that could act.
  [[nodiscard]] bool armed() const noexcept { return armed_.load(std::memory_order_relaxed); }

  /// Counts one passage of `point` and says what is to happen there: the first rule that acts wins,
  /// every matching rule counts.
  [[nodiscard]] std::optional<fault_action> hit(std::string_view point);

private:
  struct rule {
    std::string pattern;
    fault_action action;
    /// Acts from hit `first` to hit `last`, counted from 1. With a probability both stay open.
    std::uint64_t first = 1;
    std::uint64_t last = UINT64_MAX;
    std::optional<double> probability;
    std::minstd_rand dice;
    std::uint64_t hits = 0;

    [[nodiscard]] bool acts();
  };
  friend class fault_rule_parser;

  std::atomic<bool> armed_{false};
  std::mutex mutex_;
  std::vector<rule> rules_;
};

/// The shape every point in the code has: no plan or an idle one costs one branch, and the name of
/// the point is only put together when it is needed.
template <class MakePoint>
[[nodiscard]] std::optional<fault_action> check_fault(fault_plan* plan, MakePoint&& point) {
  if (plan == nullptr || !plan->armed()) [[likely]]
    return std::nullopt;
  return plan->hit(point());
}

} // namespace troupe
