#include "actors/supervision/executor.hpp"

#include <exception>
#include <thread>

namespace troupe {

namespace {

/// Plays the fault plan at the point and then the job; what either throws becomes a failure.
outcome<void> run_guarded(const std::string& stage, fault_plan* faults, bool real_time,
                          const executor::work& job) noexcept {
  try {
    const auto action = check_fault(faults, [&] { return "fx:" + stage; });
    if (action && action->kind == fault_kind::fail)
      return tl::unexpected(action->why);
    if (action && action->kind != fault_kind::delay)
      return fail(errc::internal, "{}: lost by the fault plan", stage);
    if (action && real_time)
      std::this_thread::sleep_for(action->delay);
    return job();
  } catch (const std::exception& e) {
    return fail(errc::internal, "{}: {}", stage, e.what());
  } catch (...) {
    return fail(errc::internal, "{}: an exception of unknown type", stage);
  }
}

} // namespace

void executor::run(job_label label, work job, done finished) {
  auto guarded = [stage = label.stage, faults = faults_, real_time = real_time_,
                  job = std::move(job)] {
    return run_guarded(stage, faults.get(), real_time, job);
  };
  submit({std::move(label), std::move(guarded), std::move(finished)});
}

void inline_executor::submit(task job) {
  if (held_)
    waiting_.push_back(std::move(job));
  else
    job.finished(job.job());
}

bool inline_executor::step() {
  if (waiting_.empty())
    return false;
  const auto next = std::move(waiting_.front());
  waiting_.pop_front();
  next.finished(next.job());
  return true;
}

bool inline_executor::expire() {
  if (waiting_.empty())
    return false;
  const auto next = std::move(waiting_.front());
  waiting_.pop_front();
  next.finished(fail(errc::deadline_exceeded, "{}: did not end in time", next.label.stage));
  return true;
}

} // namespace troupe
