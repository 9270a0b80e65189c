#pragma once

#include "actors/sandbox/hypervisor/hypervisor.hpp"
#include "actors/sandbox/journal/journal.hpp"
#include "messages/vocabulary/outcome.hpp"
#include "messages/vocabulary/units.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace troupe {

/// A machine that was made to run.
struct launched_machine {
  std::shared_ptr<hypervisor::driver> driver;
  /// Of its process, if it has one.
  std::optional<journal::effect_id> effect;
};

/// The launch of a pod's machine, of which there is at most one. It outlives the actor that asked
/// for it: one that is restarted meanwhile takes part in the launch of its predecessor, and none is
/// left over once the pod has ended its machine.
///
/// Any thread. Both verbs block as their driver does, hence fx workers.
class machine_launch {
public:
  /// Who starts a driver makes it known first, so that end() can cut in. machine_gone: there shall
  /// be no machine any more.
  using make_known = std::function<outcome<void>(std::shared_ptr<hypervisor::driver>)>;
  using attempt = std::function<outcome<launched_machine>(const make_known&)>;

  /// The machine that runs, made by `how` unless an earlier attempt made it. After a failure the
  /// next caller tries again. Failures as `how`; machine_gone: ended; restarting: an earlier
  /// attempt is making it, ask again.
  [[nodiscard]] outcome<launched_machine> run(const attempt& how);

  /// Stops the machine, also one that is being made; from then on there is none. Answers what there
  /// was. Again after a failure, or any number of times. Failures as driver::stop;
  /// deadline_exceeded: an attempt has not given up.
  [[nodiscard]] outcome<std::optional<launched_machine>> end(time_point deadline);

private:
  [[nodiscard]] outcome<void> know(std::shared_ptr<hypervisor::driver> driver);
  void settle(std::optional<launched_machine> made);

  std::mutex guard_; // Guards all below.
  std::condition_variable changed_;
  bool under_way_ = false;
  bool ended_ = false;
  std::shared_ptr<hypervisor::driver> driver_; // Known; of an attempt or of what it made.
  std::optional<launched_machine> made_;
};

} // namespace troupe
