#pragma once

#include "actors/sandbox/journal/undo.hpp"

#include <atomic>
#include <functional>
#include <string>
#include <vector>

/// A pod's way up as a list of (do, undo); the way down is the same list in reverse.
namespace troupe::boot {

/// What a running step may use. Valid only during the call.
class step_context {
public:
  step_context(journal::file& journal, time_point deadline, std::vector<journal::effect_id>& made)
      : journal_(journal), deadline_(deadline), made_(made) {}

  /// When the step must have answered; every wait in it gets no more.
  [[nodiscard]] time_point deadline() const noexcept { return deadline_; }

  /// Journals an effect *before* it is made. The runner takes it back when the step is undone.
  [[nodiscard]] outcome<journal::effect_id> record(const journal::effect& what);
  [[nodiscard]] outcome<void> amend(journal::effect_id id, const journal::effect& what);

private:
  journal::file& journal_;
  time_point deadline_;
  std::vector<journal::effect_id>& made_;
};

struct step {
  /// Names the stage in every error: "machine", "agent".
  std::string name;
  milliseconds limit{10000};
  /// Makes it so. Blocking, within its deadline. Journals each effect before it makes it.
  std::function<outcome<void>(step_context&)> act;
  /// The orderly way back (ask QEMU to quit, close a listener), before the journalled effects are
  /// undone. May be empty. Called also after `act` failed half way, so it must stand that.
  std::function<outcome<void>(time_point deadline)> undo;
  milliseconds undo_limit{5000};
};

enum class direction : std::uint8_t { up, down };

struct progress {
  direction way = direction::up;
  std::size_t index = 0;
  std::string_view name;
  /// False when the step begins, true when it is done.
  bool finished = false;
};

struct unwind_report {
  /// One failure per step or effect that could not be undone; the text names the step.
  std::vector<failure> problems;
  [[nodiscard]] bool clean() const noexcept { return problems.empty(); }
};

/// Runs steps up and down, one after the other, on the calling thread (an fx worker). One thread at
/// a time; only cancel() may be called from elsewhere.
class sequence {
public:
  using observer = std::function<void(const progress&)>;

  /// `journal` and `host` outlive the sequence.
  sequence(std::vector<step> steps, journal::file& journal, journal::host_effects& host,
           observer tell = {});

  /// Runs the next step. On failure, everything reached so far is undone (also the half-made step)
  /// and the failure comes back, its text beginning with the step's name.
  /// cancelled: cancel() was called; failed_precondition: no step is left.
  [[nodiscard]] outcome<void> up_one();
  /// Runs all that are left.
  [[nodiscard]] outcome<void> up();
  /// Undoes the youngest step, or does nothing at the bottom.
  [[nodiscard]] unwind_report down_one();
  /// Undoes all in reverse; no failure stops it. The sequence can go up again afterwards.
  [[nodiscard]] unwind_report down();

  /// No further step begins; the running one ends by itself or by its deadline. Thread-safe.
  void cancel() noexcept { cancelled_ = true; }

  /// How many steps are up.
  [[nodiscard]] std::size_t reached() const noexcept { return made_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return steps_.size(); }
  /// What the last unwinding (also the one after a failed step) could not undo.
  [[nodiscard]] const unwind_report& last_unwind() const noexcept { return last_unwind_; }

private:
  void undo_top(unwind_report& report);
  void tell(direction way, std::size_t index, bool finished) const;

  std::vector<step> steps_;
  journal::file& journal_;
  journal::host_effects& host_;
  observer observer_;
  std::atomic<bool> cancelled_{false};
  /// Effects of each step that is up, or half up.
  std::vector<std::vector<journal::effect_id>> made_;
  unwind_report last_unwind_;
};

} // namespace troupe::boot
