#include "actors/vcpu/machine_launch.hpp"

#include <utility>

namespace troupe {
namespace {

failed gone() {
  return fail(errc::machine_gone, "machine: it has been stopped");
}

} // namespace

outcome<launched_machine> machine_launch::run(const attempt& how) {
  {
    const std::lock_guard held{guard_};
    if (ended_)
      return gone();
    if (made_)
      return *made_;
    if (std::exchange(under_way_, true))
      return fail(errc::restarting, "machine: an earlier attempt to start it is under way");
  }
  try {
    auto made = how([this](auto driver) { return know(std::move(driver)); });
    settle(made ? std::optional{*made} : std::nullopt);
    return made;
  } catch (...) {
    settle(std::nullopt);
    throw;
  }
}

outcome<void> machine_launch::know(std::shared_ptr<hypervisor::driver> driver) {
  const std::lock_guard held{guard_};
  if (ended_)
    return gone();
  driver_ = std::move(driver);
  return {};
}

void machine_launch::settle(std::optional<launched_machine> made) {
  std::shared_ptr<hypervisor::driver> failed_one; // Its end may take time.
  const std::lock_guard held{guard_};
  under_way_ = false;
  made_ = std::move(made);
  if (!made_)
    failed_one = std::exchange(driver_, nullptr);
  changed_.notify_all();
}

outcome<std::optional<launched_machine>> machine_launch::end(time_point deadline) {
  std::unique_lock held{guard_};
  ended_ = true;
  // A driver that was told to stop starts no more, so this holds whatever the attempt is doing.
  if (const auto driver = driver_) {
    held.unlock();
    TRY(driver->stop(deadline));
    held.lock();
  }
  if (!changed_.wait_until(held, deadline, [this] { return !under_way_; }))
    return fail(errc::deadline_exceeded, "machine: wait for its launch to give up");
  return made_;
}

} // namespace troupe
